#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace laconic::optimize {

struct AdamOptions {
  double first = 0.9, second = 0.999;  ///< shares of the running moments that are kept, in [0, 1)
  double epsilon = 1e-8;
};

/// Steps in units of the running mean over the root of the running mean square of one parameter's
/// gradient. Paper: Kingma and Ba 2014, arXiv:1412.6980.
class Adam {
 public:
  /// @throws c10::ValueError for shares outside of [0, 1) or an epsilon that is not above 0.
  explicit Adam(const AdamOptions& options = {});

  /// @param parameter  changed in place.
  /// @throws c10::ValueError for a gradient of another shape.
  void step(at::Tensor& parameter, const at::Tensor& gradient, double rate);

 private:
  AdamOptions options_;
  at::Tensor mean_, mean_square_;
  int64_t steps_ = 0;
};

}  // namespace laconic::optimize
