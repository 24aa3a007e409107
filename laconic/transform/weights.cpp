#include "laconic/transform/weights.h"

#include <algorithm>

namespace laconic::transform {

int64_t run_of(const QuantSpec& spec, int64_t inputs) {
  const auto* group = std::get_if<PerGroup>(&spec.granularity);
  const bool fits = group != nullptr && (group->axis == 1 || group->axis == -1) &&
                    inputs % group->group_size == 0;
  return fits ? group->group_size : inputs;
}

int64_t FutureWeight::run() const { return run_of(spec, weight.size(1)); }

at::Tensor oriented(const at::Tensor& stored, const graph::LinearLayer& layer) {
  return layer.transposed ? stored.t().contiguous() : stored;
}

const QuantSpec* find_spec(const FloatNetwork& network, const graph::LinearLayer& layer) {
  const auto found = network.context.weights.find(layer.name);
  return found == network.context.weights.end() ? nullptr : &found->second;
}

FutureWeight read_future(const FloatNetwork& network, const graph::LinearLayer& layer) {
  const auto stored = network.parameters->get(layer.weight_name);
  return {oriented(stored.to(network.context.device), layer).to(at::kFloat),
          *find_spec(network, layer)};
}

std::vector<SharedInput> find_shared_inputs(const FloatNetwork& network) {
  std::map<graph::Value, SharedInput> by_input;
  const ParameterReaders readers(network.graph);
  for (graph::LinearLayer& layer : graph::find_linear_layers(network.graph)) {
    if (find_spec(network, layer) == nullptr || !readers.has_own_weight(layer)) continue;
    SharedInput& shared = by_input[layer.input];
    if (shared.layers.empty()) shared.input = {layer.node, layer.input, layer.name};
    shared.layers.push_back(std::move(layer));
  }
  std::vector<SharedInput> result;
  for (auto& [input, shared] : by_input) result.push_back(std::move(shared));
  std::sort(result.begin(), result.end(),
            [](const SharedInput& a, const SharedInput& b) { return a.input.stop < b.input.stop; });
  return result;
}

}  // namespace laconic::transform
