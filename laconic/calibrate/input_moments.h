#pragma once

#include <ATen/core/ATen_fwd.h>

#include <memory>
#include <string>

#include "laconic/calibrate/engine.h"
#include "laconic/kernel/gram.h"

namespace laconic {

/// Second moments of a layer's input, batch by batch.
class InputMoments {
 public:
  /// @param x  [..., in], of the network as quantized so far.
  void add(const at::Tensor& x);
  /// And beside it the same input in the float network.
  void add(const at::Tensor& x, const at::Tensor& float_x);

  /// @param layer   for messages.
  /// @param tokens  of all calibration windows.
  /// @throws c10::ValueError naming the layer when it saw nothing, or NaN or infinity.
  LayerStatistics mean(const std::string& layer, int64_t tokens) const;

 private:
  std::unique_ptr<kernel::GramSum> sum_, lost_;
  std::unique_ptr<kernel::CrossSum> mismatch_;
};

}  // namespace laconic
