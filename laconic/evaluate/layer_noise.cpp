#include "laconic/evaluate/layer_noise.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

namespace laconic {
namespace {

double sum_of_squares(const at::Tensor& x) { return x.square().sum(at::kDouble).item<double>(); }

double decibels(double signal, double noise) { return 10 * std::log10(signal / noise); }

bool is_in_a_block(const LanguageModel& model, const graph::LinearLayer& layer) {
  return model.blocks.empty() || block_of(model.blocks, layer) != nullptr;
}

const graph::LinearLayer& find_layer(const LanguageModel& model, const std::string& name) {
  const auto found = std::find_if(model.layers.begin(), model.layers.end(),
                                  [&](const auto& layer) { return layer.name == name; });
  TORCH_CHECK_VALUE(found != model.layers.end(), "[layers] ", model.directory.string(),
                    " has no layer ", name, ". Name the float model that this one was made from.");
  return *found;
}

/// The output of a layer, the network going on from where the environment stands.
at::Tensor run_to(const graph::Runner& runner, const LanguageModel& model, graph::NodeId from,
                  const graph::LinearLayer& layer, graph::Environment& environment) {
  const graph::Value output{layer.node, 0};
  runner.run(from, layer.node + 1, *model.parameters, environment, {output});
  return environment.at(output);
}

}  // namespace

LayerNoiseMeter::LayerNoiseMeter(const LanguageModel& model, const LanguageModel& against)
    : model_(model), against_(against), runner_(model.graph), reference_runner_(against.graph) {
  for (const graph::LinearLayer& layer : model.layers) {
    if (!is_in_a_block(model, layer)) continue;
    layers_.push_back({layer.name, layer, find_layer(against, layer.name)});
    const Layer& found = layers_.back();
    const bool in_order =
        layers_.size() < 2 || found.reference.node > layers_[layers_.size() - 2].reference.node;
    const auto shape = model.parameters->get(layer.weight_name).sizes().vec(),
               expected = against.parameters->get(found.reference.weight_name).sizes().vec();
    TORCH_CHECK_VALUE(
        in_order && shape == expected, "[layers] layer ", layer.name, ": expected the shape ",
        at::IntArrayRef(expected), " and the place that it has in ", against.directory.string(),
        ", got ", at::IntArrayRef(shape), ". Name the float model that this one was made from.");
  }
}

void LayerNoiseMeter::add(const at::Tensor& ids) {
  graph::Environment environment{{graph::Value{model_.graph.input(), 0}, ids}};
  graph::Environment reference{{graph::Value{against_.graph.input(), 0}, ids}};
  graph::NodeId position = 0, reference_position = 0;
  for (Layer& layer : layers_) {
    const at::Tensor y = run_to(runner_, model_, position, layer.layer, environment);
    const at::Tensor x =
        run_to(reference_runner_, against_, reference_position, layer.reference, reference);
    layer.signal += sum_of_squares(x);
    layer.noise += sum_of_squares(x - y);
    position = layer.layer.node + 1;
    reference_position = layer.reference.node + 1;
  }
}

std::vector<LayerNoise> LayerNoiseMeter::result() const {
  std::vector<LayerNoise> result;
  for (const Layer& layer : layers_) {
    const at::Tensor weight = model_.parameters->get(layer.layer.weight_name);
    const at::Tensor original = against_.parameters->get(layer.reference.weight_name);
    result.push_back({layer.name,
                      decibels(sum_of_squares(original), sum_of_squares(original - weight)),
                      decibels(layer.signal, layer.noise)});
  }
  return result;
}

}  // namespace laconic
