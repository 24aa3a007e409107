#include "laconic/quant/tensor/operands.h"

#include <ATen/ops/zeros_like.h>

#include <algorithm>

namespace laconic {
namespace {

constexpr int64_t kMostBits = 62;

Layout each_element(const CustomParameters&, at::IntArrayRef sizes) {
  return {sizes.vec(), sizes.vec()};
}

}  // namespace

const IntFormat& integers_of(std::string_view where, const QuantTensor& tensor) {
  const auto* format = std::get_if<IntFormat>(&tensor.format);
  TORCH_CHECK_TYPE(format != nullptr, "[", where,
                   "] expected integers, which have a common step, got another format. Compute "
                   "with the values (tensor.value) and quantize the result.");
  return *format;
}

CodeRange wide_code_range(const IntFormat& format) {
  const int64_t narrow = format.narrow_range ? 1 : 0;
  if (!format.is_signed) return {0, (int64_t{1} << format.bit_width) - 1 - narrow};
  const int64_t half = int64_t{1} << (format.bit_width - 1);
  return {narrow - half, half - 1};
}

IntFormat integers_for(std::string_view where, const CodeRange& range, bool is_signed) {
  for (int64_t bits = 1; bits <= kMostBits; ++bits) {
    const IntFormat format{bits, is_signed, false};
    const CodeRange held = wide_code_range(format);
    if (held.q_min <= range.q_min && range.q_max <= held.q_max) return format;
  }
  TORCH_CHECK_VALUE(false, "[", where, "] the accumulator would need more than ", kMostBits,
                    " bits. Truncate an operand first.");
}

at::Tensor zero_or_none(const QuantTensor& tensor) {
  return tensor.zero_point.defined() ? tensor.zero_point : at::zeros_like(tensor.scale);
}

bool is_symmetric(const QuantTensor& tensor) {
  return !tensor.zero_point.defined() || !tensor.zero_point.ne(0).any().item<bool>();
}

void check_same_scale(std::string_view where, const QuantTensor& a, const QuantTensor& b) {
  const bool fits =
      a.scale.sizes() == b.scale.sizes() || a.scale.numel() == 1 || b.scale.numel() == 1;
  TORCH_CHECK_VALUE(
      fits &&
          at::Tensor(a.scale - b.scale).abs().le(a.scale.abs() * 1e-5 + 1e-8).all().item<bool>(),
      "[", where, "] scales: expected the same for both operands, got ",
      a.scale.flatten()[0].item<double>(), " and ", b.scale.flatten()[0].item<double>(),
      " (shapes ", a.scale.sizes(), " and ", b.scale.sizes(),
      "). Codes of other steps do not add up: quantize both with one quantizer.");
}

void check_symmetric(std::string_view where, const QuantTensor& tensor) {
  TORCH_CHECK_VALUE(is_symmetric(tensor), "[", where,
                    "] zero points: expected 0, got another. The product of shifted codes has no "
                    "one zero point: quantize symmetrically, or compute with tensor.value.");
}

void check_ungrouped(std::string_view where, const QuantTensor& tensor) {
  const bool is_grouped = std::holds_alternative<PerGroup>(tensor.granularity) ||
                          tensor.scale.dim() > tensor.value.dim();
  TORCH_CHECK_NOT_IMPLEMENTED(!is_grouped, "[", where,
                              "] expected scales per tensor, channel or token, got groups: sums "
                              "over several groups have no one step. Compute with tensor.value.");
}

Granularity granularity_of_scale(const at::Tensor& scale, at::IntArrayRef sizes) {
  const auto rank = static_cast<int64_t>(sizes.size());
  int64_t wide = 0, axis = 0;
  for (int64_t i = 0; i < scale.dim(); ++i) {
    if (scale.size(i) == 1) continue;
    ++wide;
    axis = rank - scale.dim() + i;
  }
  if (wide == 0) return PerTensor{};
  const bool is_token = scale.dim() == rank && scale.size(-1) == 1;
  if (is_token && std::equal(sizes.begin(), sizes.end() - 1, scale.sizes().begin()))
    return PerToken{};
  if (wide == 1) return PerChannel{axis};
  return CustomGranularity{"element", {}, each_element};
}

QuantTensor with_value(const QuantTensor& tensor, const at::Tensor& value) {
  return {value, tensor.scale, tensor.zero_point, tensor.format, tensor.granularity};
}

QuantTensor integer_tensor(const at::Tensor& value, const at::Tensor& scale,
                           const at::Tensor& zero_point, const IntFormat& format) {
  return {value, scale, zero_point, format, granularity_of_scale(scale, value.sizes())};
}

}  // namespace laconic
