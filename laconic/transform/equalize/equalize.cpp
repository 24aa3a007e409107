#include "laconic/transform/equalize/equalize.h"

#include <algorithm>

#include "laconic/file/json/options.h"
#include "laconic/transform/equalize/ranges.h"
#include "laconic/transform/options.h"

namespace laconic::transform {
namespace {

constexpr const char* kEqualizeWhere = "transform equalize";
/// Of a weight beside it: in another order, magnitudes, and with its factors.
constexpr int64_t kEqualized = 4;

Equalization read_equalize(const nlohmann::json& given) {
  const auto options = with_defaults(kEqualizeWhere, given, equalize_defaults());
  const std::string range = word_option(kEqualizeWhere, options, "range", {"absmax", "min_max"});
  return {
      .iterations = integer_option(kEqualizeWhere, options, "iterations", 1, 1000),
      .threshold = number_option(kEqualizeWhere, options, "threshold", 0, 1e6),
      .merge_bias = boolean_option(kEqualizeWhere, options, "merge_bias"),
      .bias_shrinkage = 0,
      .range = range == "absmax" ? RangeKind::kLargestMagnitude : RangeKind::kMaximumMinusMinimum};
}

std::set<std::string> parameters_of(const Scaling& region) {
  std::set<std::string> names;
  for (const ScaledPart& source : region.sources) names.insert(source.part.parameter);
  for (const graph::LinearLayer& layer : region.layers) names.insert(layer.weight_name);
  return names;
}

/// Regions that share no parameter with another group, so that one group is in memory at a time.
std::vector<std::vector<Scaling>> independent_groups(std::vector<Scaling> regions) {
  struct Group {
    std::vector<Scaling> regions;
    std::set<std::string> names;
  };
  std::vector<Group> groups;
  for (Scaling& region : regions) {
    Group joined{{}, parameters_of(region)};
    std::erase_if(groups, [&](Group& group) {
      const bool shares =
          std::any_of(group.names.begin(), group.names.end(),
                      [&](const auto& name) { return joined.names.contains(name); });
      if (!shares) return false;
      std::move(group.regions.begin(), group.regions.end(), std::back_inserter(joined.regions));
      joined.names.merge(group.names);
      return true;
    });
    joined.regions.push_back(std::move(region));
    groups.push_back(std::move(joined));
  }
  std::vector<std::vector<Scaling>> result;
  for (Group& group : groups) result.push_back(std::move(group.regions));
  return result;
}

/// Those between linear layers.
std::vector<Scaling> find_regions(const FloatNetwork& network) {
  auto regions = find_scalings(network);
  std::erase_if(regions, [&](const Scaling& region) {
    return region.sources.empty() ||
           network.parameters->describe(region.sources.front().part.parameter).shape.size() < 2;
  });
  return regions;
}

}  // namespace

TransformReport equalize(FloatNetwork& network, const nlohmann::json& given) {
  const Equalization options = read_equalize(given);
  TransformReport report{"equalize", {}, {}};
  Scaler scaler(network);
  size_t count = 0;
  for (const auto& regions : independent_groups(find_regions(network))) {
    Tensors tensors;
    for (const Scaling& region : regions)
      for (const std::string& name : parameters_of(region))
        tensors[name] = network.parameters->get(name).to(at::kFloat);
    const auto factors = equalize_ranges(tensors, regions, options);
    for (size_t i = 0; i < regions.size(); ++i) scaler.merge(regions[i], factors[i]);
    for (const auto& [name, tensor] : tensors) network.parameters->release(name);
    count += regions.size();
  }
  scaler.finish("equalize");
  if (count == 0)
    report.fallbacks.emplace_back(
        "nothing is equalized: no rows of a layer reach columns of "
        "another through ReLUs, products or attention.");
  report.done.push_back("rows and columns of " + std::to_string(count) +
                        " regions are equally wide.");
  return report;
}

TransformNeeds equalize_needs(const FloatNetwork& network, const nlohmann::json&) {
  TransformNeeds needs;
  for (const auto& regions : independent_groups(find_regions(network))) {
    std::map<std::string, int64_t> bytes;
    for (const Scaling& region : regions) {
      for (const std::string& name : parameters_of(region))
        bytes[name] = float_bytes(network, name);
      needs.kept += 3 * vector_bytes(region.width);
    }
    int64_t all = 0, largest = 0;
    for (const auto& [name, own] : bytes) all += own, largest = std::max(largest, own);
    needs.work_on(regions.front().layers.front().name, all + kEqualized * largest);
  }
  return needs;
}

void check_equalize(const nlohmann::json& options) { read_equalize(options); }

nlohmann::json equalize_defaults() {
  return {{"iterations", 10}, {"threshold", 0.05}, {"merge_bias", true}, {"range", "absmax"}};
}

}  // namespace laconic::transform
