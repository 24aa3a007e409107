#include "laconic/quant/tensor/bias.h"

#include <ATen/ops/scalar_tensor.h>

#include "laconic/quant/tensor/operands.h"

namespace laconic {
namespace {

void check_bias(const BiasQuantizer& quantizer, const at::Tensor& bias, const QuantTensor& input,
                const QuantTensor& weight) {
  const int64_t bits = quantizer.format.bit_width;
  TORCH_CHECK_VALUE(bits >= 2 && bits <= 32, "[bias] bit_width: expected 2 to 32, got ", bits, ".");
  TORCH_CHECK_VALUE(bias.dim() == 1, "[bias] expected one number a channel, got the shape ",
                    bias.sizes(), ".");
  TORCH_CHECK_VALUE(input.scale.numel() == 1,
                    "[bias] input scale: expected one for the tensor, got the shape ",
                    input.scale.sizes(),
                    ". A bias that is added to tokens of other scales has no one step: choose "
                    "granularity tensor for the input, or keep the bias as float.");
  const int64_t scales = weight.scale.numel();
  TORCH_CHECK_VALUE(scales == 1 || scales == bias.size(0),
                    "[bias] weight scale: expected one, or one for each of ", bias.size(0),
                    " channels, got ", scales, ". Choose granularity tensor or channel.");
  // As many numbers do not say it: a weight may be square.
  const bool is_along_inputs = scales > 1 && weight.scale.dim() == 2 && weight.scale.size(0) == 1;
  TORCH_CHECK_VALUE(!is_along_inputs, "[bias] weight scale: expected one for each output, [",
                    bias.size(0), ", 1], got one for each input, ", weight.scale.sizes(),
                    ": products of other steps do not add up. Choose granularity channel, axis 0.");
}

}  // namespace

std::string to_string(const BiasQuantizer& quantizer) {
  return std::string(quantizer.format.is_signed ? "int" : "uint") +
         std::to_string(quantizer.format.bit_width) +
         " bias, scale of the input times scale of the weight";
}

QuantTensor quantize_bias(const BiasQuantizer& quantizer, const at::Tensor& bias,
                          const QuantTensor& input, const QuantTensor& weight) {
  check_bias(quantizer, bias, input, weight);
  const auto product = input.scale.reshape({}) * weight.scale.flatten();
  const auto scale = product.numel() == 1 ? product.reshape({}) : product;
  const auto real = bias / scale;
  const auto [q_min, q_max] = wide_code_range(quantizer.format);
  const auto bound = [&](int64_t code) {
    return at::scalar_tensor(static_cast<double>(code), real.options().requires_grad(false));
  };
  const auto codes = apply_clamp(quantizer.gradient, {apply_rounding(quantizer.rounding, real),
                                                      bound(q_min), bound(q_max), real});
  return integer_tensor(codes * scale, scale, {}, quantizer.format);
}

}  // namespace laconic
