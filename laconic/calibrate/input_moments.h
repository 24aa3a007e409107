#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "laconic/calibrate/engine.h"
#include "laconic/kernel/gram.h"

namespace laconic {

/// Rows that come in any number, handed on so many at a time: the sums of them then do not depend
/// on how they came.
class RowChunks {
 public:
  using Take = std::function<void(const std::vector<at::Tensor>&)>;
  /// @param rows  matrices with the same number of rows, which stay together.
  void add(const std::vector<at::Tensor>& rows, const Take& take);
  void finish(const Take& take);  ///< hands the rest on

 private:
  std::vector<at::Tensor> waiting_;  ///< [kRows, columns] each
  int64_t count_ = 0;                ///< rows of them that are there
};

/// Second moments of a layer's input, batch by batch; how many rows a batch has changes no bit of
/// them.
class InputMoments {
 public:
  /// @param x  [..., in], of the network as quantized so far.
  void add(const at::Tensor& x);
  /// And beside it the same input in the float network.
  void add(const at::Tensor& x, const at::Tensor& float_x);

  /// @param layer   for messages.
  /// @param tokens  of all calibration windows.
  /// The sums are gone then. A note says when float16 would not hold an element.
  /// @throws c10::ValueError naming the layer when it saw nothing, or NaN or infinity.
  LayerStatistics mean(const std::string& layer, int64_t tokens);

 private:
  void take(const std::vector<at::Tensor>& rows);
  void take_both(const std::vector<at::Tensor>& rows);

  RowChunks rows_, pairs_;
  at::Tensor largest_;  ///< 0-dim: magnitude of an element
  // [in] float64, over all rows.
  at::Tensor total_, lost_total_;
  std::unique_ptr<kernel::GramSum> sum_, lost_;
  std::unique_ptr<kernel::CrossSum> mismatch_;
};

}  // namespace laconic
