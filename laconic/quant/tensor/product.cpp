#include "laconic/quant/tensor/product.h"

#include <ATen/ops/convolution.h>
#include <ATen/ops/matmul.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string_view>

#include "laconic/quant/tensor/elementwise.h"
#include "laconic/quant/tensor/operands.h"

namespace laconic {
namespace {

/// The accumulator of sums of `count` products.
IntFormat accumulator(std::string_view where, const QuantTensor& a, const QuantTensor& b,
                      int64_t count) {
  const IntFormat &left = integers_of(where, a), &right = integers_of(where, b);
  const auto codes = [](const IntFormat& format) {
    return std::ldexp(1.0, static_cast<int>(format.bit_width)) - 1;
  };
  const double largest =
      codes(left) * codes(right) * static_cast<double>(std::max<int64_t>(count, 1));
  const auto bits = std::max<int64_t>(1, static_cast<int64_t>(std::ceil(std::log2(largest))));
  TORCH_CHECK_VALUE(bits <= 62, "[", where, "] the accumulator would need ", bits,
                    " bits; expected at most 62. Truncate an operand first.");
  return {bits, left.is_signed || right.is_signed, false};
}

void check_operand(std::string_view where, const QuantTensor& operand) {
  integers_of(where, operand);
  check_ungrouped(where, operand);
  check_symmetric(where, operand);
}

/// A scale must be one number along `dim` of the value: that is summed over.
void check_summed(std::string_view where, const QuantTensor& operand, int64_t dim) {
  const int64_t place = dim - operand.value.dim() + operand.scale.dim();
  TORCH_CHECK_NOT_IMPLEMENTED(
      place < 0 || operand.scale.size(place) == 1, "[", where, "] the scale ",
      operand.scale.sizes(), " of the operand ", operand.value.sizes(), " varies along dimension ",
      dim, ", which is summed over: products of other steps do not add up. Use one scale for it.");
}

std::vector<int64_t> for_each_dimension(const std::vector<int64_t>& option, int64_t count) {
  if (option.size() != 1) return option;
  return std::vector<int64_t>(count, option[0]);
}

int64_t products_an_output(const QuantTensor& weight, const ConvolutionOptions& options) {
  const auto sizes = weight.value.sizes();
  if (!options.is_transposed)
    return std::accumulate(sizes.begin() + 1, sizes.end(), int64_t{1}, std::multiplies<>());
  // Kernels that overlap at one output, each of all inputs of its group.
  const auto stride = for_each_dimension(options.stride, weight.value.dim() - 2);
  int64_t count = sizes[0] / options.groups;
  for (size_t i = 0; i < stride.size(); ++i) count *= (sizes[i + 2] + stride[i] - 1) / stride[i];
  return count;
}

/// The weight's scale of each output channel, beside [N, out, ...].
at::Tensor channel_scale(const QuantTensor& weight, int64_t axis) {
  if (weight.scale.numel() == 1) return weight.scale.reshape({});
  std::vector<int64_t> shape(weight.value.dim(), 1);
  shape[1] = weight.scale.size(axis);
  return weight.scale.reshape(shape);
}

std::vector<int64_t> channel_shape(const QuantTensor& accumulator, int64_t dim) {
  std::vector<int64_t> shape(accumulator.value.dim(), 1);
  shape.at(dim < 0 ? dim + accumulator.value.dim() : dim) = -1;
  return shape;
}

}  // namespace

QuantTensor matmul(const QuantTensor& a, const QuantTensor& b) {
  check_operand("matmul", a), check_operand("matmul", b);
  TORCH_CHECK_VALUE(
      a.value.dim() >= 2 && b.value.dim() >= 2 && a.value.size(-1) == b.value.size(-2),
      "[matmul] expected [..., m, k] and [..., k, n], got ", a.value.sizes(), " and ",
      b.value.sizes(), ".");
  check_summed("matmul", a, a.value.dim() - 1);
  check_summed("matmul", b, b.value.dim() - 2);
  return integer_tensor(at::matmul(a.value, b.value), a.scale * b.scale, {},
                        accumulator("matmul", a, b, a.value.size(-1)));
}

QuantTensor linear(const QuantTensor& x, const QuantTensor& weight) {
  check_operand("linear", x), check_operand("linear", weight);
  TORCH_CHECK_VALUE(
      weight.value.dim() == 2 && x.value.dim() >= 1 && x.value.size(-1) == weight.value.size(1),
      "[linear] expected [..., in] and [out, in], got ", x.value.sizes(), " and ",
      weight.value.sizes(), ".");
  check_summed("linear", x, x.value.dim() - 1);
  check_summed("linear", weight, 1);
  const auto weight_scale = weight.scale.dim() == 2 ? weight.scale.t() : weight.scale;
  return integer_tensor(at::matmul(x.value, weight.value.t()), x.scale * weight_scale, {},
                        accumulator("linear", x, weight, weight.value.size(1)));
}

QuantTensor convolution(const QuantTensor& x, const QuantTensor& weight,
                        const ConvolutionOptions& options) {
  check_operand("convolution", x), check_operand("convolution", weight);
  const int64_t spatial = weight.value.dim() - 2;
  TORCH_CHECK_VALUE(spatial >= 1 && spatial <= 3 && x.value.dim() == weight.value.dim(),
                    "[convolution] expected [N, in, ...] and a weight of as many dimensions, 3 to "
                    "5, got ",
                    x.value.sizes(), " and ", weight.value.sizes(), ".");
  for (int64_t dim = 1; dim < x.value.dim(); ++dim) check_summed("convolution", x, dim);
  const int64_t outputs = options.is_transposed ? 1 : 0;
  TORCH_CHECK_NOT_IMPLEMENTED(
      !options.is_transposed || options.groups == 1 || weight.scale.numel() == 1,
      "[convolution] transposed with ", options.groups,
      " groups: expected one scale for the weight, as its output axis repeats for each group.");
  for (int64_t dim = 0; dim < weight.value.dim(); ++dim) {
    if (dim != outputs) check_summed("convolution", weight, dim);
  }
  const auto value = at::convolution(
      x.value, weight.value, std::nullopt, for_each_dimension(options.stride, spatial),
      for_each_dimension(options.padding, spatial), for_each_dimension(options.dilation, spatial),
      options.is_transposed, for_each_dimension(options.output_padding, spatial), options.groups);
  return integer_tensor(value, x.scale * channel_scale(weight, outputs), {},
                        accumulator("convolution", x, weight, products_an_output(weight, options)));
}

QuantTensor add_bias(const QuantTensor& accumulator, const QuantTensor& bias, int64_t dim) {
  const IntFormat &left = integers_of("add_bias", accumulator),
                  &right = integers_of("add_bias", bias);
  const auto shape = channel_shape(accumulator, dim);
  QuantTensor wide = bias;
  wide.value = bias.value.reshape(shape);
  wide.scale = bias.scale.numel() == 1 ? bias.scale.reshape({}) : bias.scale.reshape(shape);
  check_same_scale("add_bias", accumulator, wide);
  check_symmetric("add_bias", bias);
  const IntFormat format{std::max(left.bit_width, right.bit_width) + 1,
                         left.is_signed || right.is_signed, false};
  return integer_tensor(accumulator.value + wide.value, accumulator.scale, accumulator.zero_point,
                        format);
}

QuantTensor add_bias(const QuantTensor& accumulator, const at::Tensor& bias, int64_t dim) {
  return add(accumulator, bias.reshape(channel_shape(accumulator, dim)));
}

}  // namespace laconic
