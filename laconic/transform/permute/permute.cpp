#include "laconic/transform/permute/permute.h"

#include <ATen/ops/maximum.h>

#include <algorithm>
#include <map>

#include "laconic/file/json/options.h"
#include "laconic/transform/elementwise.h"
#include "laconic/transform/options.h"
#include "laconic/transform/permute/permutation.h"
#include "laconic/transform/scalings.h"
#include "laconic/transform/statistics.h"
#include "laconic/transform/streams.h"

namespace laconic::transform {
namespace {

constexpr const char* kPermuteWhere = "transform permute";

struct PermuteOptions {
  std::string order;
  int64_t block_size = 0;
};

PermuteOptions read_permute(const nlohmann::json& given) {
  const auto options = with_defaults(kPermuteWhere, given, permute_defaults());
  return {word_option(kPermuteWhere, options, "order", kPermutationWords),
          integer_option(kPermuteWhere, options, "block_size", 1, 1 << 20)};
}

/// Features that may stand in any order.
struct PermutedRegion {
  std::string name;
  int64_t width = 0;
  std::vector<Part> parts;           ///< where they lie in stored tensors
  std::vector<WatchedInput> inputs;  ///< what their readers get
  at::Tensor maximum = {}, mean = {};

  void see(const InputStatistics& seen) {
    if (!seen.mean.defined()) return;
    const at::Tensor own_maximum = seen.maximum.cpu(), own_mean = seen.mean.cpu();
    maximum = maximum.defined() ? at::maximum(maximum, own_maximum) : own_maximum;
    mean = mean.defined() ? mean + own_mean : own_mean;
  }
};

WatchedInput input_of(const graph::LinearLayer& layer) {
  return {layer.node, layer.input, layer.name};
}

/// One watch for all layers that read the same value.
std::vector<WatchedInput> inputs_of(const Stream& stream,
                                    const std::vector<graph::LinearLayer>& layers) {
  std::vector<WatchedInput> inputs;
  std::set<graph::Value> seen;
  for (const graph::LinearLayer& layer : layers) {
    const bool reads = std::any_of(stream.sinks.begin(), stream.sinks.end(), [&](const Part& part) {
      return part.parameter == layer.weight_name;
    });
    if (reads && seen.insert(layer.input).second) inputs.push_back(input_of(layer));
  }
  return inputs;
}

std::vector<PermutedRegion> stream_regions(const FloatNetwork& network, TransformReport& report) {
  const auto layers = graph::find_linear_layers(network.graph);
  std::vector<PermutedRegion> regions;
  for (const Stream& stream : find_streams(network)) {
    if (!stream.is_rotatable()) continue;
    PermutedRegion region{"stream of " + std::to_string(stream.width) + " features", stream.width,
                          stream.sources, inputs_of(stream, layers)};
    region.parts.insert(region.parts.end(), stream.sinks.begin(), stream.sinks.end());
    if (!region.inputs.empty()) regions.push_back(std::move(region));
  }
  if (regions.empty())
    report.fallbacks.emplace_back(
        "the residual stream keeps its order: a norm or another reader is in the way; fold_norms "
        "before makes way.");
  return regions;
}

PermutedRegion region_of(const FloatNetwork& network, const ElementwiseRegion& found) {
  const ParameterReaders readers(network.graph);
  PermutedRegion region{"input of " + found.reader.name,
                        found.width,
                        {columns_of(found.reader)},
                        {input_of(found.reader)}};
  for (const graph::LinearLayer& writer : found.writers) {
    region.parts.push_back({writer.weight_name, writer.transposed ? 1 : 0, writer.name});
    if (const Bias bias = readers.bias_of(writer); !bias.name.empty())
      region.parts.push_back({bias.name, 0, writer.name});
  }
  return region;
}

std::vector<PermutedRegion> find_regions(const FloatNetwork& network, const PermuteOptions& options,
                                         TransformReport& report) {
  auto regions = stream_regions(network, report);
  for (const ElementwiseRegion& found : find_elementwise_regions(network))
    regions.push_back(region_of(network, found));
  std::erase_if(regions, [&](const PermutedRegion& region) {
    const bool fits = region.width % options.block_size == 0;
    if (!fits)
      report.fallbacks.push_back(region.name + ": block_size " +
                                 std::to_string(options.block_size) + " does not divide " +
                                 std::to_string(region.width) + ": keeps its order.");
    return !fits;
  });
  return regions;
}

void look_at_inputs(const FloatNetwork& network, std::vector<PermutedRegion>& regions) {
  std::vector<std::pair<WatchedInput, PermutedRegion*>> watched;
  for (PermutedRegion& region : regions)
    for (const WatchedInput& input : region.inputs) watched.emplace_back(input, &region);
  std::stable_sort(watched.begin(), watched.end(),
                   [](const auto& a, const auto& b) { return a.first.stop < b.first.stop; });
  std::vector<WatchedInput> inputs;
  for (const auto& [input, region] : watched) inputs.push_back(input);
  visit_inputs(network, inputs, Products::kNone,
               [&](size_t i, const InputStatistics& seen) { watched[i].second->see(seen); });
}

/// Along each of the dimensions, the features in the order given.
struct Reordering {
  int64_t dim;
  at::Tensor order;
};

void reorder(FloatNetwork& network, std::map<std::string, std::vector<Reordering>> by_parameter) {
  Changes changes;
  for (auto& [name, own] : by_parameter)
    changes[name] = {{name},
                     [name = name, own = std::move(own)](const graph::Parameters& below) {
                       auto tensor = below.get(name);
                       for (const Reordering& one : own)
                         tensor = tensor.index_select(one.dim, one.order);
                       return tensor;
                     },
                     network.parameters->describe(name)};
  change_parameters(network, std::move(changes));
}

}  // namespace

TransformReport permute(FloatNetwork& network, const nlohmann::json& given) {
  const PermuteOptions options = read_permute(given);
  TransformReport report{"permute", {}, {}};
  for (const std::string& layer : untie(network))
    report.done.push_back(layer + " got a weight of its own.");
  auto regions = find_regions(network, options, report);
  look_at_inputs(network, regions);
  std::map<std::string, std::vector<Reordering>> by_parameter;
  size_t count = 0;
  for (const PermutedRegion& region : regions) {
    if (!region.mean.defined()) {
      report.fallbacks.push_back(unreached(region.inputs.front().layer));
      continue;
    }
    const auto order = permutation(options.order, region.maximum, region.mean, options.block_size);
    for (const Part& part : region.parts) by_parameter[part.parameter].push_back({part.dim, order});
    ++count;
  }
  reorder(network, std::move(by_parameter));
  report.done.push_back("features of " + std::to_string(count) + " regions stand in the order " +
                        options.order + " for blocks of " + std::to_string(options.block_size) +
                        ".");
  return report;
}

TransformNeeds permute_needs(const FloatNetwork& given_network, const nlohmann::json& given) {
  FloatNetwork network = given_network;
  untie(network);
  TransformNeeds needs;
  TransformReport unused;
  for (const PermutedRegion& region : find_regions(network, read_permute(given), unused)) {
    for (const WatchedInput& input : region.inputs) needs.looks[input.layer] = 0;
    needs.kept += 4 * vector_bytes(region.width);  // order, largest and mean magnitudes
  }
  return needs;
}

void check_permute(const nlohmann::json& options) { read_permute(options); }

nlohmann::json permute_defaults() { return {{"order", "massdiff"}, {"block_size", 32}}; }

}  // namespace laconic::transform
