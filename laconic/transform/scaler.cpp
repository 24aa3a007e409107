#include <ATen/ops/bincount.h>
#include <ATen/ops/scatter_reduce.h>
#include <ATen/ops/zeros.h>

#include "laconic/graph/rewrite.h"
#include "laconic/transform/scalings.h"

namespace laconic::transform {
namespace {

at::Tensor times(const at::Tensor& tensor, const at::Tensor& factors, int64_t dim, double offset) {
  std::vector<int64_t> shape(static_cast<size_t>(tensor.dim()), 1);
  shape[static_cast<size_t>(dim)] = factors.numel();
  const auto shaped = factors.reshape(shape);
  return offset == 0 ? tensor * shaped : (tensor + offset) * shaped - offset;
}

}  // namespace

at::Tensor scaled_at(const at::Tensor& tensor, const ScaledPart& part, const at::Tensor& factors) {
  const int64_t dim = part.part.dim;
  if (!part.index.defined()) return times(tensor, factors, dim, part.offset);
  const auto own = times(tensor.index_select(dim, part.index), factors, dim, part.offset);
  return tensor.index_copy(dim, part.index, own);
}

at::Tensor Scaling::largest(const at::Tensor& of_features) const {
  if (!index.defined()) return of_features;
  return at::zeros({width}, of_features.options())
      .scatter_reduce(0, index.to(of_features.device()), of_features, "amax",
                      /*include_self=*/false);
}

at::Tensor Scaling::mean(const at::Tensor& of_features) const {
  if (!index.defined()) return of_features;
  const auto at = index.to(of_features.device());
  const auto sum = at::zeros({width}, of_features.options()).index_add_(0, at, of_features);
  return sum / at::bincount(at, {}, width);
}

at::Tensor Scaling::spread(const at::Tensor& factors) const {
  return index.defined() ? factors.index_select(0, index.to(factors.device())) : factors;
}

void Scaler::multiply(const ScaledPart& part, const at::Tensor& factors) {
  edit(part.part.parameter,
       [part, factors](const at::Tensor& stored) { return scaled_at(stored, part, factors); });
}

void Scaler::merge(const Scaling& scaling, const at::Tensor& factors) {
  const auto of_features = scaling.spread(factors), inverse = factors.reciprocal();
  for (const graph::LinearLayer& layer : scaling.layers) multiply({columns_of(layer)}, of_features);
  for (const Part& part : scaling.others) multiply({part}, of_features);
  for (const ScaledPart& source : scaling.sources) multiply(source, inverse);
}

void Scaler::insert(const Scaling& scaling, const at::Tensor& factors) {
  for (const graph::LinearLayer& layer : scaling.layers) multiply({columns_of(layer)}, factors);
  const std::string name = scaling.input.layer + ".input_factor";
  added_[name] = constant_change(factors.reciprocal());
  inserted_.emplace_back(scaling, name);
}

void Scaler::edit(const std::string& parameter, Edit edit) {
  edits_[parameter].push_back(std::move(edit));
}

at::Tensor Scaler::current(const std::string& parameter) const {
  auto tensor = network_.parameters->get(parameter);
  const auto found = edits_.find(parameter);
  if (found == edits_.end()) return tensor;
  for (const Edit& edit : found->second) tensor = edit(tensor);
  return tensor;
}

void Scaler::finish(const std::string& word) {
  Changes changes = std::move(added_);
  for (const auto& [name, own] : edits_)
    changes[name] = {{name},
                     [name = name, own = own](const graph::Parameters& below) {
                       auto tensor = below.get(name);
                       for (const Edit& edit : own) tensor = edit(tensor);
                       return tensor;
                     },
                     network_.parameters->describe(name)};
  change_parameters(network_, std::move(changes));
  if (inserted_.empty()) return;
  insert_products();
  network_.graph_changes.push_back(word);
}

void Scaler::insert_products() {
  std::map<graph::NodeId, graph::Insertion> insertions;
  for (const auto& [scaling, name] : inserted_) {
    const std::string& module = scaling.layers.front().name;
    graph::Insertion& insertion = insertions[scaling.input.stop];
    insertion.nodes.push_back({graph::NodeKind::kParameter, name, module, {}});
    insertion.nodes.push_back({graph::NodeKind::kCall,
                               "aten::mul.Tensor",
                               module,
                               {scaling.input.value, graph::Value{-1, 0}}});
    insertion.redirect[0] = graph::Value{-2, 0};
  }
  graph::NodeMap moved;
  network_.graph = graph::insert_before(network_.graph, insertions, &moved);
  for (const auto& [scaling, name] : inserted_)
    for (const graph::LinearLayer& layer : scaling.layers)
      network_.graph.nodes.at(moved[layer.node]).arguments[0] =
          graph::Value{moved[scaling.input.stop] - 1, 0};
}

}  // namespace laconic::transform
