#include "laconic/transform/smooth/smooth.h"

#include <ATen/ops/maximum.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/where.h>

#include "laconic/file/json/options.h"
#include "laconic/transform/scalings.h"

namespace laconic::transform {
namespace {

constexpr const char* kSmoothWhere = "transform smooth";
/// Of a weight whose columns are looked at: as it is stored, with factors, and magnitudes.
constexpr int64_t kLookedAt = 4;

struct SmoothOptions {
  double alpha = 0;
  bool online = false;
};

SmoothOptions read_smooth(const nlohmann::json& given) {
  const auto options = with_defaults(kSmoothWhere, given, smooth_defaults());
  return {number_option(kSmoothWhere, options, "alpha", 0, 1),
          boolean_option(kSmoothWhere, options, "online")};
}

/// Largest magnitude of each column over all layers that read the features.
at::Tensor column_maximum(const Scaler& scaler, const FloatNetwork& network,
                          const Scaling& scaling) {
  at::Tensor largest;
  for (const graph::LinearLayer& layer : scaling.layers) {
    const auto own = scaler.current(layer.weight_name).abs().amax(layer.transposed ? 1 : 0);
    network.parameters->release(layer.weight_name);
    largest = largest.defined() ? at::maximum(largest, own) : own;
  }
  return scaling.largest(largest);
}

std::vector<Scaling> wanted(const FloatNetwork& network, const SmoothOptions& options,
                            TransformReport& report) {
  std::vector<Scaling> result;
  size_t left = 0;
  for (Scaling& scaling : find_scalings(network)) {
    if (scaling.sources.empty() && !options.online)
      ++left;
    else
      result.push_back(std::move(scaling));
  }
  if (left > 0)
    report.fallbacks.push_back(std::to_string(left) +
                               " inputs stay as they are: no gain and no rows write them; online: "
                               "true multiplies them in the graph.");
  return result;
}

std::vector<at::Tensor> input_maxima(const FloatNetwork& network,
                                     const std::vector<Scaling>& scalings) {
  std::vector<WatchedInput> inputs;
  std::vector<at::Tensor> maxima;
  for (const Scaling& scaling : scalings) inputs.push_back(scaling.input);
  visit_inputs(network, inputs, Products::kNone, [&](size_t, const InputStatistics& seen) {
    maxima.push_back(seen.rows > 0 ? seen.maximum.cpu() : at::Tensor());
  });
  return maxima;
}

}  // namespace

at::Tensor smoothing_factors(const at::Tensor& input, const at::Tensor& weight, double alpha) {
  const auto s = input.pow(alpha) / weight.pow(1 - alpha);
  return at::where((input > 0) & (weight > 0) & s.isfinite() & (s > 0), s, at::ones_like(s));
}

TransformReport smooth(FloatNetwork& network, const nlohmann::json& given) {
  const SmoothOptions options = read_smooth(given);
  TransformReport report{"smooth", {}, {}};
  const auto scalings = wanted(network, options, report);
  const auto maxima = input_maxima(network, scalings);
  Scaler scaler(network);
  size_t merged = 0, inserted = 0;
  // From the back: factors of a layer's rows belong to inputs behind it, and count in the maxima of
  // its columns.
  for (size_t i = scalings.size(); i-- > 0;) {
    const Scaling& scaling = scalings[i];
    if (!maxima[i].defined()) {
      report.fallbacks.push_back(unreached(scaling.input.layer));
      continue;
    }
    const auto s = smoothing_factors(scaling.largest(maxima[i]),
                                     column_maximum(scaler, network, scaling), options.alpha);
    scaling.sources.empty() ? scaler.insert(scaling, s) : scaler.merge(scaling, s);
    ++(scaling.sources.empty() ? inserted : merged);
  }
  scaler.finish("smooth (online)");
  report.done.push_back(
      "factors of " + std::to_string(merged) + " inputs are in what writes them" +
      (inserted > 0 ? ", of " + std::to_string(inserted) + " in the graph." : "."));
  return report;
}

TransformNeeds smooth_needs(const FloatNetwork& network, const nlohmann::json& given) {
  const SmoothOptions options = read_smooth(given);
  TransformNeeds needs;
  TransformReport unused;
  for (const Scaling& scaling : wanted(network, options, unused)) {
    needs.looks[scaling.layers.front().name] = 0;
    needs.kept += 4 * vector_bytes(scaling.width);
    for (const graph::LinearLayer& layer : scaling.layers)
      needs.work_on(layer.name, kLookedAt * float_bytes(network, layer.weight_name));
  }
  return needs;
}

void check_smooth(const nlohmann::json& options) { read_smooth(options); }

nlohmann::json smooth_defaults() { return {{"alpha", 0.5}, {"online", false}}; }

}  // namespace laconic::transform
