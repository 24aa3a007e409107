#include "laconic/transform/magr/magr.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "laconic/file/json/options.h"
#include "laconic/transform/magr/magnitude.h"
#include "laconic/transform/weights.h"

namespace laconic::transform {
namespace {

constexpr const char* kMagrWhere = "transform magr";
/// Of a weight on its way: as it was, as it is, its step, and what is projected.
constexpr int64_t kReduced = 7;

MagnitudeReduction read_magr(const nlohmann::json& given) {
  const auto options = with_defaults(kMagrWhere, given, magr_defaults());
  return {.alpha = number_option(kMagrWhere, options, "alpha", 0, 1e6),
          .steps = integer_option(kMagrWhere, options, "steps", 1, 1000000)};
}

/// Sums over layers.
struct Reduction {
  double output = 0, change = 0;  ///< squared
  double magnitude = 0;           ///< of each layer, after / before
  size_t layers = 0;

  void add(const at::Tensor& before, const at::Tensor& after, const at::Tensor& hessian,
           int64_t run) {
    const auto squared = [&](const at::Tensor& w) {
      return (w.matmul(hessian) * w).sum(at::kDouble).item<double>();
    };
    const auto largest = [&](const at::Tensor& w) {
      return w.abs().unflatten(1, {-1, run}).amax(-1).mean().item<double>();
    };
    output += squared(before);
    change += squared(after - before);
    magnitude += largest(after) / std::max(largest(before), 1e-30);
    ++layers;
  }
  std::string text() const {
    std::array<char, 200> line{};
    std::snprintf(line.data(), line.size(),
                  "weights of %zu layers: largest magnitudes of groups are %.3f times what they "
                  "were, outputs changed by %.2g of their square.",
                  layers, layers == 0 ? 1.0 : magnitude / static_cast<double>(layers),
                  output > 0 ? change / output : 0.0);
    return line.data();
  }
};

}  // namespace

TransformReport magr(FloatNetwork& network, const nlohmann::json& given) {
  const MagnitudeReduction options = read_magr(given);
  TransformReport report{"magr", {}, {}};
  const auto shared = find_shared_inputs(network);
  std::vector<WatchedInput> inputs;
  for (const SharedInput& one : shared) inputs.push_back(one.input);
  Changes changes;
  Reduction sums;
  visit_inputs(network, inputs, Products::kHessian, [&](size_t i, const InputStatistics& seen) {
    for (const graph::LinearLayer& layer : shared[i].layers) {
      if (seen.rows == 0) {
        report.fallbacks.push_back(unreached(layer.name));
        continue;
      }
      const FutureWeight future = read_future(network, layer);
      const auto reduced = reduce_magnitude(future.weight, seen.hessian, future.run(), options);
      sums.add(future.weight, reduced, seen.hessian, future.run());
      changes[layer.weight_name] = constant_change(
          oriented(reduced.cpu(), layer), network.parameters->describe(layer.weight_name).dtype);
      network.parameters->release(layer.weight_name);
    }
  });
  change_parameters(network, std::move(changes));
  report.done.push_back(sums.text());
  return report;
}

TransformNeeds magr_needs(const FloatNetwork& network, const nlohmann::json&) {
  TransformNeeds needs{.products = Products::kHessian};
  for (const SharedInput& shared : find_shared_inputs(network)) {
    int64_t largest = 0;
    for (const graph::LinearLayer& layer : shared.layers) {
      const int64_t bytes = float_bytes(network, layer.weight_name);
      largest = std::max(largest, bytes);
      needs.kept += bytes;
    }
    const graph::LinearLayer& first = shared.layers.front();
    needs.looks[first.name] = kReduced * largest + matrix_bytes(network, first);
  }
  return needs;
}

void check_magr(const nlohmann::json& options) { read_magr(options); }

nlohmann::json magr_defaults() { return {{"alpha", 0.003}, {"steps", 30}}; }

}  // namespace laconic::transform
