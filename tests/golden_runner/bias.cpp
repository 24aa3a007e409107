#include "laconic/quant/tensor/bias.h"

#include <ATen/ATen.h>

#include "areas.h"
#include "laconic/quant/tensor/product.h"
#include "parts.h"
#include "tensors.h"

namespace laconic::golden {
namespace {

/// A quantizer of signed integers whose scale is the absmax over 2^(b-1), less one when narrow.
QuantSpec absmax_spec(int64_t bits, bool narrow, const Granularity& granularity) {
  return QuantSpec{}.let(IntFormat{bits, true, narrow}, granularity, Threshold::kFullRange);
}

Answer answer_linear(const Case& item, Options& options) {
  const bool is_channel = options.word("weight_granularity", {"tensor", "channel"}) == "channel";
  const QuantSpec weight_spec =
      absmax_spec(options.whole("weight_bits", 2, 16), options.flag("weight_narrow_range", false),
                  is_channel ? Granularity(PerChannel{0}) : PerTensor{});
  const int64_t input_bits = options.whole("input_bits", 2, 16);
  // The learned range's first value, found from no data.
  const double absmax = options.number("input_absmax_init", 0, 1e6);
  const BiasQuantizer bias_quantizer{
      {options.whole("bias_bits", 2, 32), options.flag("bias_signed", true), false}};
  options.word("bias_scale", {"input*weight"});
  options.finish();

  Answer answer;
  const auto leaf = [&](const std::string& name) {
    return answer.leaves[name] = item.input(name).requires_grad_();
  };
  const QuantSpec input_spec = absmax_spec(input_bits, false, PerTensor{}).let(Gradient(Clipped{}));
  const at::Tensor input_scale = at::full({}, absmax / std::pow(2.0, input_bits - 1));
  const QuantTensor x = quantize(input_spec, leaf("x"), {input_scale, {}});
  const QuantTensor weight = quantize(weight_spec, leaf("weight"));
  const QuantTensor bias = quantize_bias(bias_quantizer, leaf("bias"), x, weight);
  const QuantTensor y = add_bias(linear(x, weight), bias, -1);
  const auto one_row = [&](const at::Tensor& scale) {
    return scale.dim() == 0 ? scale.reshape({1, 1}) : scale;
  };
  answer.differentiated = y.value;
  answer.outputs = {{"value", y.value},
                    {"scale", one_row(y.scale)},
                    {"zero_point", zero_point_of(y).reshape({1})},
                    {"bit_width", bit_width_of(y)},
                    {"bias.value", bias.value},
                    {"bias.scale", bias.scale.reshape({-1})},
                    {"bias.zero_point", zero_point_of(bias)},
                    {"bias.bit_width", bit_width_of(bias)}};
  return answer;
}

Answer answer_internal(const Case& item, Options& options) {
  options.word("scale_stat", {"absmax"});
  const Restriction restriction = read_restriction(options);
  QuantSpec spec = absmax_spec(options.whole("bits", 2, 16), false, PerTensor{}).let(restriction);
  spec = spec.let(threshold_of(spec.format, restriction, options));
  TORCH_CHECK_VALUE(options.flag("signed", true), "option signed: expected true.");
  options.finish();
  Answer answer;
  const at::Tensor bias = answer.leaves["bias"] = item.input("bias").requires_grad_();
  const QuantTensor found = quantize(spec, bias);
  answer.differentiated = found.value;
  answer.outputs = {{"value", found.value},
                    {"scale", found.scale},
                    {"zero_point", zero_point_of(found)},
                    {"bit_width", bit_width_of(found)}};
  return answer;
}

}  // namespace

Answer answer_bias(const Case& item) {
  Options options(item.options);
  if (item.op == "bias_quant_internal") return answer_internal(item, options);
  TORCH_CHECK_VALUE(item.op == "quant_linear_with_bias", "op: unknown value ", item.op, ".");
  return answer_linear(item, options);
}

}  // namespace laconic::golden
