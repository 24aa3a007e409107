#include "laconic/quant/tensor/pool.h"

#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/max_pool2d.h>

#include <cmath>
#include <string_view>

#include "laconic/quant/tensor/operands.h"

namespace laconic {
namespace {

void check_image(std::string_view where, const QuantTensor& a) {
  TORCH_CHECK_VALUE(a.value.dim() == 4, "[", where, "] expected [N, C, H, W], got ",
                    a.value.sizes(), ".");
  check_ungrouped(where, a);
  const int64_t rank = a.scale.dim();
  TORCH_CHECK_NOT_IMPLEMENTED(
      rank == 0 || (a.scale.size(-1) == 1 && (rank < 2 || a.scale.size(-2) == 1)), "[", where,
      "] expected a scale per tensor or channel, got the shape ", a.scale.sizes(),
      ": the codes of a window have no one step.");
}

QuantTensor mean_of_windows(std::string_view where, const QuantTensor& a, const at::Tensor& value,
                            int64_t elements) {
  const IntFormat& format = integers_of(where, a);
  const auto count = static_cast<double>(elements);
  const double codes = std::ldexp(1.0, static_cast<int>(format.bit_width)) - 1;
  const auto bits = static_cast<int64_t>(std::ceil(std::log2(codes * count)));
  const auto zero_point = a.zero_point.defined() ? a.zero_point * count : a.zero_point;
  return integer_tensor(value, a.scale / count, zero_point, {bits, format.is_signed, false});
}

}  // namespace

QuantTensor max_pool2d(const QuantTensor& a, const PoolOptions& options) {
  check_image("max_pool2d", a);
  const int64_t stride = options.stride > 0 ? options.stride : options.size;
  const auto value = at::max_pool2d(a.value, {options.size, options.size}, {stride, stride},
                                    {options.padding, options.padding});
  return {value, a.scale, a.zero_point, a.format, a.granularity};
}

QuantTensor average_pool2d(const QuantTensor& a, const PoolOptions& options) {
  check_image("average_pool2d", a);
  const int64_t stride = options.stride > 0 ? options.stride : options.size;
  const auto value = at::avg_pool2d(a.value, {options.size, options.size}, {stride, stride},
                                    {options.padding, options.padding});
  return mean_of_windows("average_pool2d", a, value, options.size * options.size);
}

QuantTensor adaptive_average_pool2d(const QuantTensor& a, int64_t height, int64_t width) {
  check_image("adaptive_average_pool2d", a);
  TORCH_CHECK_NOT_IMPLEMENTED(
      height > 0 && width > 0 && a.value.size(2) % height == 0 && a.value.size(3) % width == 0,
      "[adaptive_average_pool2d] expected outputs that divide ", a.value.size(2), " x ",
      a.value.size(3), ", got ", height, " x ", width,
      ": windows of several sizes have no one step. Choose divisors.");
  const int64_t elements = (a.value.size(2) / height) * (a.value.size(3) / width);
  return mean_of_windows("adaptive_average_pool2d", a,
                         at::adaptive_avg_pool2d(a.value, {height, width}), elements);
}

}  // namespace laconic
