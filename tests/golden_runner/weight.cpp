#include <ATen/ATen.h>

#include "areas.h"
#include "weight_quantizer.h"

namespace laconic::golden {

Answer answer_weight(const Case& item) {
  const bool known =
      item.op == "weight_quant" || item.op == "float_weight_quant" || item.op == "mx_weight_quant";
  TORCH_CHECK_VALUE(known, "op: unknown value ", item.op,
                    "; known are weight_quant, float_weight_quant, mx_weight_quant.");
  Options options(item.options);
  const WeightQuantizer quantizer = read_weight_quantizer(options);
  options.finish();
  const at::Tensor weight = item.input("w").requires_grad_();
  const QuantizedWeight found = quantize_weight(quantizer, weight);
  Answer answer;
  answer.leaves["w"] = weight;
  for (const auto& [name, parameter] : found.parameters) {
    answer.leaves["param." + name] = parameter;
    answer.outputs["param." + name] = parameter;
  }
  const at::Tensor scale = recorded_shape(quantizer, found.scale, weight);
  answer.outputs["value"] = answer.differentiated = found.value;
  answer.outputs["codes"] = found.codes;
  answer.outputs["scale"] = scale;
  if (const auto* format = std::get_if<MinifloatFormat>(&quantizer.spec.format)) {
    answer.outputs["exponent_bit_width"] = at::full({}, static_cast<double>(format->exponent_bits));
    answer.outputs["mantissa_bit_width"] = found.bit_width;
    answer.outputs["exponent_bias"] = at::full({}, static_cast<double>(limits(*format).bias));
  } else {
    answer.outputs["bit_width"] = found.bit_width;
  }
  answer.outputs["zero_point"] = found.zero_point.defined()
                                     ? recorded_shape(quantizer, found.zero_point, weight)
                                     : at::zeros({});
  const at::Tensor one = at::ones({});
  answer.steps = {{"value", scale}, {"codes", one}, {"zero_point", one}};
  return answer;
}

}  // namespace laconic::golden
