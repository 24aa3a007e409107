#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "laconic/calibrate/engine.h"
#include "laconic/calibrate/row_chunks.h"
#include "laconic/kernel/gram.h"
#include "laconic/processes/processes.h"

namespace laconic {

/// What a layer's input was over the calibration windows.
struct SeenRows {
  at::Tensor hessian;  ///< [in, in] float32: X^T X / rows
  int64_t rows = 0;
  double largest = 0;  ///< magnitude of an element
  at::Tensor mean;     ///< [in] float32; undefined for an input that was never seen
};

/// What solvers are told of it: an expert's input that was seen too rarely (kFewestExpertTokens)
/// counts as uncorrelated. Notes say so, and when float16 would not hold an element.
/// @param tokens  of all calibration windows.
/// @throws c10::ValueError naming the layer for NaN or infinity.
LayerStatistics layer_statistics(const std::string& layer, const SeenRows& seen, int64_t tokens);

/// Second moments of a layer's input, batch by batch; how many rows a batch has changes no bit of
/// them.
class InputMoments {
 public:
  /// @param x  [..., in], of the network as quantized so far.
  void add(const at::Tensor& x);
  /// And beside it the same input in the float network.
  void add(const at::Tensor& x, const at::Tensor& float_x);

  /// From now on of the inputs that all processes saw. Each must have seen one, which may have no
  /// rows.
  void combine(Processes& processes);

  /// @param layer   for messages.
  /// @param tokens  of all calibration windows.
  /// As layer_statistics has them; the sums are gone then.
  /// @throws c10::ValueError naming the layer when it saw nothing, or NaN or infinity.
  LayerStatistics mean(const std::string& layer, int64_t tokens);

 private:
  void take(const std::vector<at::Tensor>& rows);
  void take_both(const std::vector<at::Tensor>& rows);
  void finish_chunks();

  RowChunks rows_, pairs_;
  at::Tensor largest_;  ///< 0-dim: magnitude of an element
  // [in] float64, over all rows.
  at::Tensor total_, lost_total_;
  std::unique_ptr<kernel::GramSum> sum_, lost_;
  std::unique_ptr<kernel::CrossSum> mismatch_;
};

}  // namespace laconic
