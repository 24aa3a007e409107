#include "laconic/evaluate/predictor.h"

#include <ATen/ops/linear.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <vector>

#include "laconic/base/assert.h"

namespace laconic {
namespace {

graph::Value find_input(const graph::Graph& network) {
  for (size_t i = 0; i < network.nodes.size(); ++i) {
    if (network.nodes[i].kind == graph::NodeKind::kInput) return {static_cast<graph::NodeId>(i), 0};
  }
  LACONIC_ASSERT(false, "A language model's graph has no input.");
}

}  // namespace

Predictor::Predictor(const LanguageModel& model)
    : model_(model),
      runner_(model.graph),
      input_(find_input(model.graph)),
      head_(find_head(model)) {}

// The last node before the output, when it is a linear call of which nothing but the output is
// made.
std::optional<Predictor::Head> Predictor::find_head(const LanguageModel& model) {
  const auto& nodes = model.graph.nodes;
  if (nodes.size() < 2 || nodes.back().kind != graph::NodeKind::kOutput) return std::nullopt;
  const auto* result = std::get_if<graph::Value>(&nodes.back().arguments.at(0).data);
  const auto last = static_cast<graph::NodeId>(nodes.size()) - 2;
  if (result == nullptr || result->node != last) return std::nullopt;
  const graph::Node& call = nodes[last];
  if (call.kind != graph::NodeKind::kCall || call.target != "aten::linear") return std::nullopt;
  const auto value = [&](size_t i) -> std::optional<graph::Value> {
    if (i >= call.arguments.size()) return std::nullopt;
    const auto* found = std::get_if<graph::Value>(&call.arguments[i].data);
    return found == nullptr ? std::nullopt : std::optional(*found);
  };
  const auto input = value(0), weight = value(1);
  if (!input || !weight) return std::nullopt;
  return Head{last, *input, *weight, value(2)};
}

Predictor::Hidden Predictor::hidden(const at::Tensor& ids, int64_t begin, int64_t end) const {
  const auto pick = [&](const at::Tensor& all) {
    return all.slice(1, begin, end).reshape({-1, all.size(-1)});
  };
  if (!head_) return {pick(runner_(ids, *model_.parameters)), {}, {}};
  graph::Environment environment{{input_, ids}};
  // Parameters are fetched, not kept: only computed values (a transposed or quantized weight) stay
  // in the environment.
  std::vector<graph::Value> keep;
  for (const auto& value :
       {std::optional(head_->input), std::optional(head_->weight), head_->bias}) {
    if (value && !is_parameter(*value)) keep.push_back(*value);
  }
  runner_.run(0, head_->node, *model_.parameters, environment, keep);
  const auto fetch = [&](const graph::Value& value) {
    return is_parameter(value) ? model_.parameters->get(model_.graph.nodes[value.node].target)
                               : environment.at(value);
  };
  return {pick(fetch(head_->input)), fetch(head_->weight),
          head_->bias ? fetch(*head_->bias) : at::Tensor()};
}

bool Predictor::is_parameter(const graph::Value& value) const {
  return model_.graph.nodes[value.node].kind == graph::NodeKind::kParameter;
}

at::Tensor Predictor::logits(const Hidden& hidden, int64_t begin, int64_t end) {
  const at::Tensor rows = hidden.rows.slice(0, begin, end);
  if (!hidden.weight.defined()) return rows;
  return at::linear(rows, hidden.weight, hidden.bias);
}

}  // namespace laconic
