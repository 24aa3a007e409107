#include "laconic/transform/rotate/heads.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <optional>
#include <set>

#include "laconic/transform/rotate/layout.h"

namespace laconic::transform {
namespace {

using graph::Graph;
using graph::LinearLayer;
using graph::Node;
using graph::NodeId;
using graph::NodeKind;
using graph::Value;

bool has_queries(const Node& node) {
  return node.target == "laconic::attention" || node.target == "aten::scaled_dot_product_attention";
}

class HeadFinder {
 public:
  explicit HeadFinder(const FloatNetwork& network)
      : network_(network), graph_(network.graph), walk_(graph_), readers_(graph_) {
    for (LinearLayer& layer : graph::find_linear_layers(graph_)) {
      outputs_[layer.node] = size_of(layer, layer.transposed ? 1 : 0);
      layers_[layer.node] = std::move(layer);
    }
  }

  std::map<NodeId, std::vector<int64_t>> query_shapes() const;
  std::set<NodeId> score_layers() const;
  std::vector<HeadRegion> find();

 private:
  int64_t size_of(const LinearLayer& layer, int64_t dim) const {
    const auto shape = network_.parameters->describe(layer.weight_name).shape;
    return shape.size() == 2 ? shape[static_cast<size_t>(dim)] : 0;
  }
  at::Tensor start(NodeId layer) const {
    return at::arange(outputs_.at(layer)).reshape({1, 1, outputs_.at(layer)});
  }
  void note_sources(NodeId layer);
  void note_sinks(HeadRegion& region,
                  const std::map<NodeId, std::vector<int64_t>>& query_shapes) const;
  void add_sink(HeadRegion& region, NodeId user, size_t argument, const at::Tensor& labels) const;

  const FloatNetwork& network_;
  const Graph& graph_;
  LayoutWalk walk_;
  ParameterReaders readers_;
  std::map<NodeId, LinearLayer> layers_;
  std::map<NodeId, int64_t> outputs_;
  std::map<NodeId, HeadRegion> regions_;
  std::map<NodeId, std::vector<int64_t>> value_shapes_;
};

std::map<NodeId, std::vector<int64_t>> HeadFinder::query_shapes() const {
  std::map<NodeId, std::vector<int64_t>> shapes;
  for (const auto& [id, layer] : layers_)
    walk_.walk(
        {id, 0}, start(id),
        [&](NodeId user, size_t argument, const at::Tensor& labels) {
          if (argument == 0 && has_queries(graph_.at(user))) shapes[user] = labels.sizes().vec();
        },
        /*through_maps=*/true);
  return shapes;
}

std::set<NodeId> HeadFinder::score_layers() const {
  std::set<NodeId> found;
  for (const auto& [id, layer] : layers_)
    walk_.walk(
        {id, 0}, start(id),
        [&, id = id](NodeId user, size_t argument, const at::Tensor&) {
          if (argument < 2 && has_queries(graph_.at(user))) found.insert(id);
        },
        /*through_maps=*/true);
  return found;
}

/// The runs of one layer's rows that each attention mixes, with no other use of those rows.
void HeadFinder::note_sources(NodeId id) {
  struct Use {
    NodeId user;
    bool is_mixed;
    at::Tensor labels;
  };
  std::vector<Use> uses;
  walk_.walk({id, 0}, start(id), [&](NodeId user, size_t argument, const at::Tensor& labels) {
    uses.push_back({user, mixed_argument(graph_.at(user)) == argument, labels});
  });
  const LinearLayer& layer = layers_.at(id);
  for (const Use& use : uses) {
    if (!use.is_mixed || use.labels.dim() < 3) continue;
    HeadRegion& region = regions_[use.user];
    region.attention = use.user;
    region.size = use.labels.size(-1);
    value_shapes_[use.user] = use.labels.sizes().vec();
    std::map<int64_t, at::Tensor> runs;  // a head may be repeated for the queries of its group
    for (const at::Tensor& run : use.labels.reshape({-1, region.size}).unbind(0))
      runs.emplace(run[0].item<int64_t>(), run);
    std::vector<int64_t> flat;
    for (const auto& [first, run] : runs)
      for (int64_t i = 0; i < region.size; ++i) flat.push_back(run[i].item<int64_t>());
    const std::set<int64_t> own(flat.begin(), flat.end());
    if (own.size() != flat.size()) region.obstacle = "heads share features";
    for (const Use& other : uses) {
      if (&other == &use) continue;
      const auto rows = other.labels.flatten().contiguous();
      const int64_t* row = rows.const_data_ptr<int64_t>();
      if (std::any_of(row, row + rows.numel(), [&](int64_t r) { return own.contains(r); }))
        region.obstacle = graph::describe(graph_, other.user) + " reads the values too";
    }
    if (!readers_.has_own_weight(layer)) region.obstacle = layer.name + " shares its weight";
    const Bias bias = readers_.bias_of(layer);
    if (!bias.is_plain) region.obstacle = layer.name + " has a bias that is shared or computed";
    const auto index = at::tensor(flat, at::kLong).reshape({-1, region.size});
    region.sources.push_back({{layer.weight_name, layer.transposed ? 1 : 0, layer.name}, index});
    if (!bias.name.empty()) region.sources.push_back({{bias.name, 0, layer.name}, index});
  }
}

void HeadFinder::add_sink(HeadRegion& region, NodeId user, size_t argument,
                          const at::Tensor& labels) const {
  const auto found = layers_.find(user);
  if (found == layers_.end() || argument != 0) {
    region.obstacle = graph::describe(graph_, user) + " reads the result and is no linear layer";
    return;
  }
  const LinearLayer& layer = found->second;
  const int64_t dim = layer.transposed ? 0 : 1;
  const auto order = labels.flatten();
  const bool is_whole = order.numel() == size_of(layer, dim) && labels.size(-1) == order.numel() &&
                        std::get<0>(order.sort()).equal(at::arange(order.numel()));
  if (!is_whole) {
    region.obstacle = layer.name + " reads the heads in a form that is not understood";
    return;
  }
  if (!readers_.has_own_weight(layer)) region.obstacle = layer.name + " shares its weight";
  region.sinks.push_back(
      {{layer.weight_name, dim, layer.name}, order.argsort().reshape({-1, region.size})});
}

void HeadFinder::note_sinks(HeadRegion& region,
                            const std::map<NodeId, std::vector<int64_t>>& query_shapes) const {
  std::vector<int64_t> shape = value_shapes_.at(region.attention);
  // As many heads as the queries have.
  const auto found = query_shapes.find(region.attention);
  if (found != query_shapes.end() && found->second.size() == shape.size())
    std::copy(found->second.begin(), found->second.end() - 1, shape.begin());
  int64_t count = 1;
  for (const int64_t side : shape) count *= side;
  walk_.walk({region.attention, 0}, at::arange(count).reshape(shape),
             [&](NodeId user, size_t argument, const at::Tensor& labels) {
               add_sink(region, user, argument, labels);
             });
  if (region.sinks.empty() && region.obstacle.empty()) region.obstacle = "nothing reads the result";
}

std::vector<HeadRegion> HeadFinder::find() {
  for (const auto& [id, layer] : layers_) note_sources(id);
  const auto queries = query_shapes();
  std::vector<HeadRegion> result;
  for (auto& [id, region] : regions_) {
    note_sinks(region, queries);
    // A product that no linear layer reads mixes no values (queries and keys).
    if (!has_queries(graph_.at(id)) && !region.obstacle.empty()) continue;
    result.push_back(std::move(region));
  }
  return result;
}

}  // namespace

std::optional<size_t> mixed_argument(const Node& node) {
  if (node.kind != NodeKind::kCall) return std::nullopt;
  if (has_queries(node)) return 2;
  const bool is_product = node.target == "aten::matmul" || node.target == "aten::bmm";
  if (is_product && std::holds_alternative<Value>(node.arguments[0].data)) return 1;
  return std::nullopt;
}

std::vector<HeadRegion> find_heads(const FloatNetwork& network) {
  return HeadFinder(network).find();
}

std::map<NodeId, std::vector<int64_t>> find_query_shapes(const FloatNetwork& network) {
  return HeadFinder(network).query_shapes();
}

std::set<NodeId> find_score_layers(const FloatNetwork& network) {
  return HeadFinder(network).score_layers();
}

std::map<NodeId, int64_t> find_query_sizes(const FloatNetwork& network) {
  std::map<NodeId, int64_t> sizes;
  for (const auto& [id, shape] : find_query_shapes(network)) sizes[id] = shape.back();
  return sizes;
}

}  // namespace laconic::transform
