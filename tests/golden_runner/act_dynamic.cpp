#include <ATen/ATen.h>

#include "areas.h"
#include "laconic/nn/quantizer.h"
#include "parts.h"

namespace laconic::golden {
namespace {

Granularity read_dynamic_granularity(Options& options) {
  const auto word = options.word("granularity", {"tensor", "row", "group"});
  if (word == "tensor") return PerTensor{};
  if (word == "row") return PerToken{};
  return PerGroup{-1, options.whole("group_size", 1, 1 << 20)};
}

QuantSpec read_dynamic(Options& options) {
  QuantSpec spec;
  spec.format = read_format(options);
  spec.granularity = read_dynamic_granularity(options);
  spec.zero_point = read_zero_point(options);
  ScaleRule rule;
  rule.restriction = read_restriction(options);
  rule.threshold = threshold_of(spec.format, rule.restriction, options);
  if (!std::holds_alternative<NoZeroPoint>(spec.zero_point))
    rule.statistic = MinMax{.include_zero = false};
  spec.scale = StatisticScale{{rule}};
  spec.gradient = Clipped{};
  // Formats are of 8 bits where the case has their name alone.
  options.ignore({"upstream_composition", "group_size", "group_dim", "bits"});
  return spec;
}

}  // namespace

Answer answer_act_dynamic(const Case& item) {
  TORCH_CHECK_VALUE(item.op == "dynamic_act_quant", "op: unknown value ", item.op,
                    "; known is dynamic_act_quant.");
  Options options(item.options);
  const QuantSpec spec = read_dynamic(options);
  options.finish();
  Answer answer;
  const at::Tensor x = answer.leaves["x"] = item.input("x").requires_grad_();
  nn::Quantizer quantizer(spec, x);
  const QuantTensor found = quantizer->forward(x);
  const auto recorded = [&](const at::Tensor& value) {
    const bool is_group = std::holds_alternative<PerGroup>(spec.granularity);
    return is_group ? spread(value, x.sizes(), spec.granularity) : value;
  };
  answer.differentiated = answer.outputs["value"] = found.value;
  answer.outputs["scale"] = recorded(found.scale);
  answer.outputs["zero_point"] =
      found.zero_point.defined() ? recorded(found.zero_point) : at::zeros({});
  add_format_outputs("", spec.format, answer);
  answer.steps["value"] = answer.outputs["scale"];
  return answer;
}

}  // namespace laconic::golden
