#include <ATen/ATen.h>

#include "areas.h"
#include "laconic/transform/equalize/ranges.h"
#include "laconic/transform/smooth/smooth.h"
#include "laconic/transform/split/split.h"
#include "options.h"

namespace laconic::golden {
namespace {

using transform::Scaling;
using transform::Tensors;

/// All inputs of a case but the network's.
Tensors parameters_of(const Case& item) {
  Tensors tensors;
  for (const auto& [name, unused] : item.inputs)
    if (name.ends_with(".weight") || name.ends_with(".bias")) tensors[name] = item.input(name);
  return tensors;
}

at::Tensor layer(const Tensors& tensors, const std::string& name, const at::Tensor& x) {
  const auto bias = tensors.find(name + ".bias");
  const at::Tensor b = bias == tensors.end() ? at::Tensor() : bias->second;
  const at::Tensor& weight = tensors.at(name + ".weight");
  return weight.dim() == 2 ? at::linear(x, weight, b) : at::conv2d(x, weight, b);
}

/// What the case's network makes of x.
at::Tensor run(const std::string& topology, const Tensors& tensors, const at::Tensor& x) {
  if (topology == "residual") {
    const auto h = layer(tensors, "a", x).relu();
    return layer(tensors, "c", (h + layer(tensors, "b", h)).relu());
  }
  const bool is_convolution = topology.starts_with("conv");
  const auto h = layer(tensors, is_convolution ? "conv1" : "fc1", x);
  const bool is_gelu = topology.find("gelu") != std::string::npos;
  return layer(tensors, is_convolution ? "conv2" : "fc2", is_gelu ? at::gelu(h) : h.relu());
}

Scaling region_of(const std::string& topology, const Tensors& tensors) {
  Scaling region;
  const auto add = [&](const std::string& source) {
    region.sources.push_back({{source + ".weight", 0, source}});
    if (tensors.contains(source + ".bias"))
      region.sources.push_back({{source + ".bias", 0, source}});
    region.width = tensors.at(source + ".weight").size(0);
  };
  if (topology == "residual") {
    add("a"), add("b");
    region.others = {{"b.weight", 1, "b"}, {"c.weight", 1, "c"}};
  } else {
    const bool is_convolution = topology.starts_with("conv");
    add(is_convolution ? "conv1" : "fc1");
    region.others = {{is_convolution ? "conv2.weight" : "fc2.weight", 1, ""}};
  }
  return region;
}

Answer equalize_weights(const Case& item, Options& options, const std::string& topology) {
  transform::Equalization equalization{.iterations = options.whole("iterations", 1, 1000),
                                       .threshold = options.number("threshold", 0, 1e6),
                                       .merge_bias = options.flag("merge_bias", true)};
  if (item.options.at("bias_shrinkage").is_number())
    equalization.bias_shrinkage = options.number("bias_shrinkage", 1e-6, 1e6);
  else
    options.word("bias_shrinkage", {"adaptive"});
  if (options.word("range", {"maxabs", "range"}) == "range")
    equalization.range = transform::RangeKind::kMaximumMinusMinimum;
  Tensors tensors = parameters_of(item);
  Answer answer;
  answer.outputs["y_before"] = run(topology, tensors, item.input("x"));
  transform::equalize_ranges(tensors, {region_of(topology, tensors)}, equalization);
  answer.outputs["y_after"] = run(topology, tensors, item.input("x"));
  for (const auto& [name, tensor] : tensors) answer.outputs[name] = tensor;
  return answer;
}

/// Largest magnitudes of the inputs of both layers over two batches.
std::pair<at::Tensor, at::Tensor> input_maxima(const Case& item, const Tensors& tensors,
                                               bool is_gelu) {
  const auto x = at::cat({item.input("batch0"), item.input("batch1")});
  const auto h = layer(tensors, "fc1", x);
  return {x.abs().amax(0), (is_gelu ? at::gelu(h) : h.relu()).abs().amax(0)};
}

Answer equalize_activations(const Case& item, Options& options, const std::string& topology) {
  const double alpha = options.number("alpha", 0, 1);
  const bool is_layerwise = options.word("mode", {"layerwise", "graph"}) == "layerwise";
  const Tensors before = parameters_of(item);
  const auto [x, h] = input_maxima(item, before, topology.find("gelu") != std::string::npos);
  const auto factors = [&](const at::Tensor& input, const std::string& name) {
    return transform::smoothing_factors(input, before.at(name).abs().amax(0), alpha);
  };
  const auto first = factors(x, "fc1.weight"), second = factors(h, "fc2.weight");
  Tensors after = before;
  Answer answer;
  after["fc2.weight"] = before.at("fc2.weight") * second;
  auto input = item.input("batch0");
  answer.outputs["y_before"] = run(topology, before, input);
  const std::string middle = is_layerwise ? ".layer" : "";
  if (is_layerwise) {
    after["fc1.weight"] = before.at("fc1.weight") * first;
    answer.outputs["scale_factor0"] = answer.outputs["param.fc1.scale.weight"] = first.reciprocal();
    answer.outputs["scale_factor1"] = answer.outputs["param.fc2.scale.weight"] =
        second.reciprocal();
    const auto inside = layer(after, "fc1", input / first);
    answer.outputs["y_after"] = layer(
        after, "fc2",
        (topology.find("gelu") != std::string::npos ? at::gelu(inside) : inside.relu()) / second);
  } else {
    after["fc1.weight"] = before.at("fc1.weight") / second.unsqueeze(1);
    after["fc1.bias"] = before.at("fc1.bias") / second;
    answer.outputs["scale_factor0"] = second.reciprocal();
    answer.outputs["y_after"] = run(topology, after, input);
  }
  for (const char* name : {"fc1", "fc2"})
    for (const char* role : {".weight", ".bias"})
      answer.outputs["param." + (name + middle) + role] = after.at(std::string(name) + role);
  return answer;
}

Answer split_channels(const Case& item, Options& options, const std::string& topology) {
  options.word("criterion", {"maxabs"});
  const bool halves_input = options.flag("split_input", true);
  const double ratio = options.number("ratio", 0, 1);
  Tensors tensors = parameters_of(item);
  Answer answer;
  answer.outputs["y_before"] = run(topology, tensors, item.input("x"));
  at::Tensor &rows = tensors["fc1.weight"], &bias = tensors["fc1.bias"],
             &columns = tensors["fc2.weight"];
  const auto features =
      transform::widest_features(halves_input ? columns.abs().amax(0) : rows.abs().amax(1), ratio);
  const auto more = halves_input ? transform::with_copies : transform::with_halves;
  rows = more(rows, 0, features);
  bias = more(bias, 0, features);
  columns = (halves_input ? transform::with_halves : transform::with_copies)(columns, 1, features);
  answer.outputs["y_after"] = run(topology, tensors, item.input("x"));
  for (const auto& [name, tensor] : tensors) answer.outputs[name] = tensor;
  return answer;
}

}  // namespace

Answer answer_equalization(const Case& item) {
  Options options(item.options);
  const std::string topology = item.options.at("topology");
  options.ignore({"topology"});
  Answer answer;
  if (item.op == "weight_equalization")
    answer = equalize_weights(item, options, topology);
  else if (item.op == "activation_equalization")
    answer = equalize_activations(item, options, topology);
  else if (item.op == "channel_splitting")
    answer = split_channels(item, options, topology);
  else
    TORCH_CHECK_VALUE(false, "op: unknown value ", item.op, ".");
  options.finish();
  for (const auto& [name, output] : answer.outputs) answer.steps[name] = at::full({}, 1e-4);
  return answer;
}

}  // namespace laconic::golden
