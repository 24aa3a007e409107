#include "laconic/transform/low_rank/low_rank.h"

#include <ATen/ops/linalg_eigh.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>

#include "laconic/file/json/options.h"
#include "laconic/graph/rewrite.h"
#include "laconic/quant/quantizer/quantize.h"

namespace laconic::transform {
namespace {

using graph::LinearLayer;
using graph::NodeKind;
using graph::Value;

constexpr const char* kLowRankWhere = "transform low_rank";
/// Of a weight: as it is, what is split (in double precision too), and the rest, rounded.
constexpr int64_t kSplit = 7;
/// Of its Gram matrix in double precision: eigenvectors and the room that finding them takes.
constexpr int64_t kGramCopies = 5;

struct LowRankOptions {
  int64_t rank = 0, iterations = 0;
};

LowRankOptions read_low_rank(const nlohmann::json& given) {
  const auto options = with_defaults(kLowRankWhere, given, low_rank_defaults());
  return {integer_option(kLowRankWhere, options, "rank", 1, 1 << 20),
          integer_option(kLowRankWhere, options, "iterations", 1, 10000)};
}

double relative(const at::Tensor& error, const at::Tensor& weight) {
  const double length = weight.norm().item<double>();
  return length > 0 ? error.norm().item<double>() / length : 0;
}

/// Two products and a sum after each layer; what used the layer's result uses the sum.
void insert_branches(FloatNetwork& network, const std::vector<LinearLayer>& layers) {
  std::map<graph::NodeId, graph::Insertion> insertions;
  for (const LinearLayer& layer : layers) {
    const auto product = [&](Value a, Value b) {
      return graph::Node{NodeKind::kCall, "aten::matmul", layer.name, {a, b}};
    };
    insertions[layer.node + 1].nodes = {
        {NodeKind::kParameter, layer.name + ".low_rank_in", layer.name, {}},
        {NodeKind::kParameter, layer.name + ".low_rank_out", layer.name, {}},
        product(layer.input, {-1, 0}),
        product({-3, 0}, {-2, 0}),
        {NodeKind::kCall,
         "aten::add.Tensor",
         layer.name,
         {Value{layer.node, 0}, Value{-4, 0}, c10::IValue(1)}}};
  }
  graph::NodeMap moved;
  network.graph = graph::insert_before(network.graph, insertions, &moved);
  for (const LinearLayer& layer : layers) {
    const Value result{moved[layer.node], 0}, sum{moved[layer.node + 1] - 1, 0};
    redirect_after(network.graph, result, sum);
  }
}

/// The branch's two parameters; the weight is what it leaves.
void put_branch(const FloatNetwork& network, const LinearLayer& layer, const LowRank& found,
                Changes& changes) {
  changes[layer.name + ".low_rank_in"] = constant_change(found.in);
  changes[layer.name + ".low_rank_out"] = constant_change(found.out);
  const std::string name = layer.weight_name;
  changes[name] = {{name},
                   [name, layer, found](const graph::Parameters& below) {
                     const auto branch = found.in.matmul(found.out).t();
                     return below.get(name) - oriented(branch, layer);
                   },
                   network.parameters->describe(name)};
}

/// Factors [in, rank] and [rank, out] of the nearest matrix of a rank to a [out, in] one. The
/// eigenvectors of the smaller Gram matrix, in double precision: many times quicker than all
/// singular vectors.
std::pair<at::Tensor, at::Tensor> nearest_of_rank(const at::Tensor& matrix, int64_t rank) {
  const auto exact = matrix.to(at::kDouble);
  const bool is_wide = exact.size(1) > exact.size(0);
  const auto gram = is_wide ? exact.mm(exact.t()) : exact.t().mm(exact);
  const auto vectors = std::get<1>(at::linalg_eigh(gram)).slice(1, -rank);
  const auto in = is_wide ? exact.t().mm(vectors) : vectors;
  const auto out = is_wide ? vectors.t() : exact.mm(vectors).t();
  return {in.to(at::kFloat).contiguous(), out.to(at::kFloat).contiguous()};
}

}  // namespace

LowRank find_low_rank(const FutureWeight& future, int64_t rank, int64_t iterations) {
  const at::Tensor& weight = future.weight;
  rank = std::min(rank, std::min(weight.size(0), weight.size(1)));
  LowRank best;
  best.relative_error = std::numeric_limits<double>::infinity();
  auto target = weight;
  for (int64_t i = 0; i < iterations; ++i) {
    const auto [in, out] = nearest_of_rank(target, rank);
    const auto rest = weight - in.matmul(out).t();
    const auto quantized = fake_quantize_dynamic(future.spec, rest);
    const double error = relative(rest - quantized, weight);
    if (error < best.relative_error) best = {in, out, error};
    target = weight - quantized;
  }
  return best;
}

TransformReport low_rank(FloatNetwork& network, const nlohmann::json& given) {
  const LowRankOptions options = read_low_rank(given);
  TransformReport report{"low_rank", {}, {}};
  std::vector<LinearLayer> layers;
  Changes changes;
  double error = 0, error_before = 0;
  for (const SharedInput& shared : find_shared_inputs(network)) {
    for (const LinearLayer& layer : shared.layers) {
      const FutureWeight future = read_future(network, layer);
      const auto found = find_low_rank(future, options.rank, options.iterations);
      error += found.relative_error;
      error_before += relative(future.weight - fake_quantize_dynamic(future.spec, future.weight),
                               future.weight);
      put_branch(network, layer, {found.in.cpu(), found.out.cpu()}, changes);
      network.parameters->release(layer.weight_name);
      layers.push_back(layer);
    }
  }
  insert_branches(network, layers);
  change_parameters(network, std::move(changes));
  network.graph_changes.emplace_back("low_rank");
  std::array<char, 160> line{};
  std::snprintf(line.data(), line.size(),
                "%zu layers have a branch of rank %lld: weights lose %.3f times what they lost.",
                layers.size(), static_cast<long long>(options.rank),
                error_before > 0 ? error / error_before : 1.0);
  report.done.emplace_back(line.data());
  return report;
}

TransformNeeds low_rank_needs(const FloatNetwork& network, const nlohmann::json& given) {
  const LowRankOptions options = read_low_rank(given);
  TransformNeeds needs;
  for (const SharedInput& shared : find_shared_inputs(network))
    for (const LinearLayer& layer : shared.layers) {
      const auto shape = network.parameters->describe(layer.weight_name).shape;
      const int64_t smaller = std::min(shape.at(0), shape.at(1));
      needs.kept += vector_bytes((shape.at(0) + shape.at(1)) * std::min(options.rank, smaller));
      needs.work_on(layer.name, kSplit * float_bytes(network, layer.weight_name) +
                                    kGramCopies * vector_bytes(2 * smaller * smaller));
    }
  return needs;
}

void check_low_rank(const nlohmann::json& options) { read_low_rank(options); }

nlohmann::json low_rank_defaults() { return {{"rank", 32}, {"iterations", 4}}; }

}  // namespace laconic::transform
