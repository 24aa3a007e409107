#include <ATen/ATen.h>

#include "areas.h"
#include "laconic/nn/quantizer.h"
#include "parts.h"

namespace laconic::golden {
namespace {

struct NormedLayer {
  QuantSpec weight;
  bool is_convolution = false;
  double input_bits = 8, input_range = 2;
  bool input_signed = false;
};

NormedLayer read_layer_quantizer(Options& options) {
  NormedLayer layer;
  const auto scheme = options.word("scheme", {"a2q", "a2q_plus", "weight_norm_l2"});
  layer.is_convolution = options.word("layer", {"linear", "conv2d"}) == "conv2d";
  layer.input_bits = options.number("input_bits", 1, 32);
  layer.input_signed = options.flag("input_signed", false);
  layer.weight.format = make_format(read_bits(options), true, options.flag("narrow_range", false));
  layer.weight.granularity = PerChannel{.axis = 0};
  layer.weight.rounding = read_rounding(options);
  layer.weight.gradient = Clipped{};
  layer.weight.scale = WeightNormScale{};
  if (scheme != "weight_norm_l2") {
    layer.weight.scale =
        AccumulatorScale{.accumulator_bits = options.whole("accumulator_bits", 2, 64),
                         .input_bits = static_cast<int64_t>(layer.input_bits),
                         .input_signed = layer.input_signed,
                         .zero_centered = scheme == "a2q_plus"};
  }
  // Cases with norms of their own have inputs up to 1. The inputs have the norms.
  if (options.has("norm_param_multiplied_by")) layer.input_range = 1;
  options.ignore({"accumulator_bits", "norm_param_multiplied_by"});
  return layer;
}

/// The input through its own quantizer, whose range is given.
QuantTensor quantize_input(const NormedLayer& layer, const at::Tensor& x) {
  QuantSpec spec;
  spec.format = make_format(layer.input_bits, layer.input_signed, false);
  spec.scale = StatisticScale{
      {.statistic = GivenRange{layer.input_range}, .threshold = Threshold::kFullRange}};
  return quantize(spec, x);
}

}  // namespace

Answer answer_a2q(const Case& item) {
  Options options(item.options);
  const NormedLayer layer = read_layer_quantizer(options);
  options.finish();
  Answer answer;
  const at::Tensor weight = answer.leaves["weight"] = item.input("weight").requires_grad_();
  nn::Quantizer quantizer(layer.weight, weight);
  for (auto& parameter : quantizer->named_parameters()) {
    const std::string name = "param." + parameter.key();
    if (item.has_input(name)) {
      const at::NoGradGuard no_gradient;
      parameter.value().copy_(item.input(name));
    }
    answer.leaves[name] = answer.outputs[name] = parameter.value();
  }
  const QuantTensor found = quantizer->forward(weight),
                    input = quantize_input(layer, item.input("x"));
  answer.differentiated = layer.is_convolution ? at::conv2d(input.value, found.value)
                                               : at::linear(input.value, found.value);
  const at::Tensor codes = codes_of(found).to(at::kFloat);
  answer.outputs["y"] = answer.differentiated;
  answer.outputs["input.value"] = input.value;
  answer.outputs["input.scale"] = input.scale;
  answer.outputs["weight.value"] = found.value;
  answer.outputs["weight.scale"] = found.scale;
  answer.outputs["weight.zero_point"] = at::zeros({});
  answer.outputs["weight.bit_width"] = quantizer->bit_width();
  answer.outputs["weight.codes"] = codes;
  answer.outputs["weight.code_l1_norm"] = codes.abs().flatten(1).sum(1);
  return answer;
}

}  // namespace laconic::golden
