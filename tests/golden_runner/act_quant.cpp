#include <ATen/ATen.h>

#include <algorithm>

#include "areas.h"
#include "laconic/nn/quantizer.h"
#include "parts.h"

namespace laconic::golden {
namespace {

struct Activation {
  QuantSpec spec;
  bool relu_first = false;
};

Scale read_scale(Options& options, ScaleRule rule) {
  const auto source = options.word("scale_source", {"parameter_from_runtime_stats", "runtime_stats",
                                                    "runtime_affine_stats", "parameter"});
  if (source == "parameter") {
    rule.statistic = GivenRange{std::max(std::abs(options.number("init_min", -1e30, 1e30)),
                                         std::abs(options.number("init_max", -1e30, 1e30)))};
    return LearnedScale{{rule}};
  }
  rule.statistic = read_statistic(options);
  if (source == "parameter_from_runtime_stats")
    return LearnedScale{{rule}, options.whole("collect_steps", 1, 1 << 20)};
  if (source == "runtime_affine_stats") {
    rule.affine = Affine::kFactor;
    rule.factor = options.number("affine_scale_init", -1e30, 1e30);
  }
  return RunningScale{{rule}, options.number("momentum", 0, 1, 0)};
}

Activation read_activation(Options& options) {
  Activation result;
  QuantSpec& spec = result.spec;
  spec.format = read_format(options);
  spec.zero_point = read_zero_point(options);
  spec.gradient = Clipped{};
  ScaleRule rule;
  rule.restriction = read_restriction(options);
  rule.threshold = threshold_of(spec.format, rule.restriction, options);
  spec.scale = read_scale(options, rule);
  if (options.has("permute")) count_channels_of(spec.scale, 1);
  if (options.has("granularity")) {
    options.word("granularity", {"channel1"});
    spec.granularity = PerChannel{.axis = 1};
  }
  result.relu_first = options.flag("relu_first", false);
  options.ignore({"permute", "granularity"});
  return result;
}

void add_outputs(const std::string& step, const QuantTensor& found, Answer& answer) {
  answer.outputs[step + ".value"] = found.value;
  answer.outputs[step + ".scale"] = found.scale;
  answer.outputs[step + ".zero_point"] =
      found.zero_point.defined() ? found.zero_point : at::zeros({});
  answer.steps[step + ".value"] = found.scale;
}

}  // namespace

Answer answer_act_quant(const Case& item) {
  TORCH_CHECK_VALUE(item.op == "act_quant", "op: unknown value ", item.op, "; known is act_quant.");
  Options options(item.options);
  const Activation activation = read_activation(options);
  options.finish();
  Answer answer;
  answer.gradient = "grad_last_train_output";
  nn::Quantizer quantizer(activation.spec, item.input("batch0"));
  const auto run = [&](const at::Tensor& x) {
    return quantizer->forward(activation.relu_first ? x.relu() : x);
  };
  for (int i = 0; item.has_input("batch" + std::to_string(i)); ++i) {
    const at::Tensor x = item.input("batch" + std::to_string(i)).requires_grad_();
    const QuantTensor found = run(x);
    add_outputs("train" + std::to_string(i), found, answer);
    answer.leaves["batch_last"] = x;
    answer.differentiated = found.value;
  }
  quantizer->eval();
  add_outputs("eval", run(item.input("eval_input")), answer);
  add_format_outputs("eval.", activation.spec.format, answer);
  for (const auto& parameter : quantizer->named_parameters()) {
    const std::string name = "param." + parameter.key();
    answer.leaves[name] = parameter.value();
    answer.outputs[name] = parameter.value().detach().clone();
  }
  return answer;
}

}  // namespace laconic::golden
