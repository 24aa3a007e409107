#include "laconic/quant/presets/presets.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "areas.h"
#include "laconic/nn/quantizer.h"
#include "options.h"
#include "parts.h"

namespace laconic::golden {
namespace {

/// The preset that a case names, with what the case sets.
QuantSpec read_preset(Options& options, const nlohmann::json& json) {
  const auto name = json.at("upstream_preset").get<std::string>();
  QuantSpec spec = quant_spec_preset(name);
  if (auto* scale = std::get_if<LearnedScale>(&spec.scale)) {
    if (options.has("collect_steps"))
      scale->collect_steps = options.whole("collect_steps", 1, 1 << 20);
    if (options.has("init")) {
      const auto& range = json.at("init");
      scale->statistic = GivenRange{std::max(std::abs(range.at("min_val").get<double>()),
                                             std::abs(range.at("max_val").get<double>()))};
    }
  }
  options.ignore({"upstream_preset", "collect_steps", "init", "layer"});
  return spec;
}

/// As recorded: one number an element for groups; [1] for a scale that is not found.
at::Tensor recorded(const QuantSpec& spec, const at::Tensor& parameter, const at::Tensor& x) {
  if (std::holds_alternative<PerGroup>(spec.granularity))
    return spread(parameter, x.sizes(), spec.granularity);
  const bool is_plain = !std::holds_alternative<IntFormat>(spec.format) &&
                        std::holds_alternative<ConstantScale>(spec.scale);
  return is_plain ? parameter.reshape({1}) : parameter;
}

void add_outputs(const std::string& prefix, const QuantSpec& spec, const QuantTensor& found,
                 Answer& answer) {
  answer.outputs[prefix + "value"] = found.value;
  answer.outputs[prefix + "scale"] = recorded(spec, found.scale, found.value);
  answer.outputs[prefix + "zero_point"] =
      found.zero_point.defined() && !std::holds_alternative<NoZeroPoint>(spec.zero_point)
          ? recorded(spec, found.zero_point, found.value)
          : at::zeros({});
  answer.steps[prefix + "value"] = answer.outputs[prefix + "scale"];
}

void add_parameters(const nn::Quantizer& quantizer, Answer& answer) {
  for (const auto& parameter : quantizer->named_parameters()) {
    const std::string name = "param." + parameter.key();
    answer.leaves[name] = parameter.value();
    answer.outputs[name] = parameter.value().detach().clone();
  }
}

Answer answer_weight(const Case& item, const QuantSpec& spec) {
  Answer answer;
  const at::Tensor w = answer.leaves["w"] = item.input("w").requires_grad_();
  nn::Quantizer quantizer(spec, w);
  const QuantTensor found = quantizer->forward(w);
  answer.differentiated = found.value;
  add_outputs("", spec, found, answer);
  add_format_outputs("", spec.format, answer);
  // Codes are recorded as the numbers of the format.
  const auto view = grouped(found.value, spec.granularity) / found.scale;
  const auto numbers = found.zero_point.defined() ? view + found.zero_point : view;
  answer.outputs["codes"] = ungrouped(numbers.round(), w.sizes(), spec.granularity);
  add_parameters(quantizer, answer);
  return answer;
}

Answer answer_activation(const Case& item, const QuantSpec& spec, bool relu_first) {
  Answer answer;
  answer.gradient = "grad_last_train_output";
  nn::Quantizer quantizer(spec, item.input("batch0"));
  const auto run = [&](const at::Tensor& x) {
    return quantizer->forward(relu_first ? x.relu() : x);
  };
  for (int i = 0; item.has_input("batch" + std::to_string(i)); ++i) {
    const at::Tensor x = item.input("batch" + std::to_string(i)).requires_grad_();
    const QuantTensor found = run(x);
    add_outputs("train" + std::to_string(i) + ".", spec, found, answer);
    answer.leaves["batch_last"] = x;
    answer.differentiated = found.value;
  }
  quantizer->eval();
  add_outputs("eval.", spec, run(item.input("eval_input")), answer);
  add_format_outputs("eval.", spec.format, answer);
  add_parameters(quantizer, answer);
  return answer;
}

}  // namespace

Answer answer_presets(const Case& item) {
  Options options(item.options);
  const QuantSpec spec = read_preset(options, item.options);
  const bool relu_first = options.flag("relu_first", false);
  options.finish();
  if (item.op == "preset_weight") return answer_weight(item, spec);
  TORCH_CHECK_VALUE(item.op == "preset_act", "op: unknown value ", item.op, ".");
  return answer_activation(item, spec, relu_first);
}

}  // namespace laconic::golden
