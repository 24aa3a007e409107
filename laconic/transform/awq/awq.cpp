#include "laconic/transform/awq/awq.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>

#include "laconic/file/json/options.h"
#include "laconic/transform/awq/search.h"
#include "laconic/transform/rotate/heads.h"

namespace laconic::transform {
namespace {

constexpr const char* kAwqWhere = "transform awq";
/// Of a weight that is searched for: scaled, rounded, what that loses, and products of it.
constexpr int64_t kSearched = 8;

struct AwqOptions {
  FactorSearch factors;
  bool clip = true;
};

AwqOptions read_awq(const nlohmann::json& given) {
  const auto options = with_defaults(kAwqWhere, given, awq_defaults());
  return {{integer_option(kAwqWhere, options, "grid", 1, 1000),
           boolean_option(kAwqWhere, options, "weight_mean")},
          boolean_option(kAwqWhere, options, "clip")};
}

class Searcher {
 public:
  Searcher(FloatNetwork& network, const AwqOptions& options, TransformReport& report)
      : network_(network),
        options_(options),
        report_(report),
        scaler_(network),
        scalings_(find_scalings(network)),
        unclipped_(find_score_layers(network)) {}

  void run();

 private:
  std::vector<FutureWeight> futures(const Scaling& scaling) const;
  at::Tensor current(const graph::LinearLayer& layer) const;
  void search(const Scaling& scaling, const InputStatistics& seen);
  void clip(const Scaling& scaling, const at::Tensor& hessian);

  FloatNetwork& network_;
  const AwqOptions& options_;
  TransformReport& report_;
  Scaler scaler_;
  std::vector<Scaling> scalings_;
  std::set<graph::NodeId> unclipped_;
  size_t scaled_ = 0, clipped_ = 0;
  double error_ = 0, error_before_ = 0;
};

/// The weight as it is by now, [out, in] float32, where it is searched.
at::Tensor Searcher::current(const graph::LinearLayer& layer) const {
  const auto stored = scaler_.current(layer.weight_name).to(network_.context.device);
  return oriented(stored, layer).to(at::kFloat);
}

/// Those of the layers that will be quantized.
std::vector<FutureWeight> Searcher::futures(const Scaling& scaling) const {
  std::vector<FutureWeight> weights;
  for (const graph::LinearLayer& layer : scaling.layers) {
    const QuantSpec* spec = find_spec(network_, layer);
    if (spec == nullptr) continue;
    weights.push_back({current(layer), *spec});
    network_.parameters->release(layer.weight_name);
  }
  return weights;
}

void Searcher::search(const Scaling& scaling, const InputStatistics& seen) {
  if (seen.rows == 0) {
    report_.fallbacks.push_back(unreached(scaling.input.layer));
    return;
  }
  auto hessian = seen.hessian;
  if (const auto weights = futures(scaling); !scaling.sources.empty() && !weights.empty()) {
    const auto found = search_factors(weights, hessian, seen.mean, scaling, options_.factors);
    scaler_.merge(scaling, found.factors.cpu());
    const auto features = scaling.spread(found.factors);
    hessian = hessian / features / features.unsqueeze(1);
    error_ += found.error;
    error_before_ += found.error_before;
    ++scaled_;
  }
  if (options_.clip) clip(scaling, hessian);
}

void Searcher::clip(const Scaling& scaling, const at::Tensor& hessian) {
  for (const graph::LinearLayer& layer : scaling.layers) {
    const QuantSpec* spec = find_spec(network_, layer);
    if (spec == nullptr || unclipped_.contains(layer.node)) continue;
    const auto clips = search_clips({current(layer), *spec}, hessian, {}).cpu();
    scaler_.edit(layer.weight_name, [layer, clips](const at::Tensor& stored) {
      return oriented(clipped(oriented(stored, layer), clips), layer);
    });
    network_.parameters->release(layer.weight_name);
    ++clipped_;
  }
}

void Searcher::run() {
  std::vector<WatchedInput> inputs;
  for (const Scaling& scaling : scalings_) inputs.push_back(scaling.input);
  visit_inputs(network_, inputs, Products::kHessian,
               [&](size_t i, const InputStatistics& seen) { search(scalings_[i], seen); });
  scaler_.finish("awq");
  std::array<char, 32> ratio{};
  std::snprintf(ratio.data(), ratio.size(), "%.3f",
                error_before_ > 0 ? error_ / error_before_ : 1.0);
  report_.done.push_back(
      "factors of " + std::to_string(scaled_) + " inputs are in what writes them: outputs lose " +
      ratio.data() + " times what they lost" +
      (clipped_ > 0 ? "; weights of " + std::to_string(clipped_) + " layers are clipped." : "."));
}

}  // namespace

TransformReport awq(FloatNetwork& network, const nlohmann::json& given) {
  const AwqOptions options = read_awq(given);
  TransformReport report{"awq", {}, {}};
  Searcher(network, options, report).run();
  return report;
}

TransformNeeds awq_needs(const FloatNetwork& network, const nlohmann::json& given) {
  const AwqOptions options = read_awq(given);
  TransformNeeds needs{.products = Products::kHessian};
  const auto unclipped = find_score_layers(network);
  for (const Scaling& scaling : find_scalings(network)) {
    int64_t all = 0, largest = 0;
    for (const graph::LinearLayer& layer : scaling.layers) {
      const QuantSpec* spec = find_spec(network, layer);
      if (spec == nullptr) continue;
      const int64_t bytes = float_bytes(network, layer.weight_name);
      all += bytes;
      largest = std::max(largest, bytes);
      const int64_t inputs = network.parameters->describe(layer.weight_name)
                                 .shape.at(static_cast<size_t>(columns_of(layer).dim));
      if (options.clip && !unclipped.contains(layer.node))
        needs.kept += bytes / run_of(*spec, inputs);
    }
    needs.kept += 3 * vector_bytes(scaling.width);
    const graph::LinearLayer& first = scaling.layers.front();
    needs.looks[first.name] = all + kSearched * largest + 2 * matrix_bytes(network, first);
  }
  return needs;
}

void check_awq(const nlohmann::json& options) { read_awq(options); }

nlohmann::json awq_defaults() { return {{"grid", 20}, {"weight_mean", false}, {"clip", true}}; }

}  // namespace laconic::transform
