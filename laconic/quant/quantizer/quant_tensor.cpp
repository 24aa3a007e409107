#include "laconic/quant/quantizer/quant_tensor.h"

#include "laconic/quant/quantizer/fused.h"

namespace laconic {

namespace {

// Accumulators: more bits than float32 counts.
at::Tensor wide_codes(const IntFormat& format, const QuantTensor& tensor) {
  const auto wide = [](const at::Tensor& x) { return x.detach().to(c10::ScalarType::Double); };
  auto codes = wide(grouped(tensor.value, tensor.granularity)) / wide(tensor.scale);
  if (tensor.zero_point.defined()) codes = codes + wide(tensor.zero_point);
  const bool fits = format.bit_width < 32 || (format.bit_width == 32 && format.is_signed);
  const auto [q_min, q_max] = code_range(format);
  codes = codes.round().clamp(static_cast<double>(q_min), static_cast<double>(q_max));
  return ungrouped(codes, tensor.value.sizes(), tensor.granularity)
      .to(fits ? c10::ScalarType::Int : c10::ScalarType::Long);
}

}  // namespace

QuantTensor quantize(const QuantSpec& spec, const at::Tensor& x,
                     const QuantParameters& parameters) {
  TORCH_CHECK_NOT_IMPLEMENTED(
      !is_joint(spec.format), "[QuantTensor] expected codes with a number each, got the format ",
      describe(spec.format), ". Use quantize_codes and dequantize, or a table.");
  const auto real = x.to(parameters.scale.scalar_type());
  return {fake_quantize(spec, real, parameters), parameters.scale, parameters.zero_point,
          spec.format, spec.granularity};
}

QuantTensor quantize(const QuantSpec& spec, const at::Tensor& x) {
  check(spec);
  const bool is_half = x.is_floating_point() && x.element_size() < 4;
  const auto real = is_half ? x.to(c10::ScalarType::Float) : x;  // codes can be told from the value
  if (auto found = fused_quantize(spec, real))
    return {found->value, found->parameters.scale, found->parameters.zero_point, spec.format,
            spec.granularity};
  return quantize(spec, x, find_parameters(spec, x));
}

at::Tensor codes_of(const QuantTensor& tensor) {
  const auto* integers = std::get_if<IntFormat>(&tensor.format);
  if (integers != nullptr && integers->bit_width > 16) return wide_codes(*integers, tensor);
  // A value lies on a code but for the last bits of a product: nearest finds it whatever rounding
  // made it.
  QuantSpec nearest;
  nearest.format = tensor.format;
  nearest.granularity = tensor.granularity;
  return quantize_codes(nearest, tensor.value, {tensor.scale, tensor.zero_point});
}

}  // namespace laconic
