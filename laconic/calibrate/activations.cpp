#include "laconic/calibrate/activations.h"

#include <ATen/ops/cat.h>

#include <algorithm>
#include <set>
#include <string>

#include "laconic/base/assert.h"

namespace laconic {
namespace {

/// What activations may take without asking whether it is worth it.
constexpr int64_t kFreeBytes = int64_t{256} << 20;

/// Bytes of the values of an environment, each once.
int64_t bytes_of(const graph::Environment& environment) {
  std::set<const void*> seen;
  int64_t bytes = 0;
  for (const auto& [value, tensor] : environment) {
    if (tensor.defined() && seen.insert(tensor.const_data_ptr()).second) {
      bytes += static_cast<int64_t>(tensor.nbytes());
    }
  }
  return bytes;
}

/// Whether a node is worth remembering the result of.
bool is_heavy(const graph::Node& node) {
  static const std::set<std::string> targets = {
      "aten::linear",       "aten::matmul",
      "aten::mm",           "aten::bmm",
      "aten::addmm",        "aten::scaled_dot_product_attention",
      "aten::conv1d",       "aten::einsum",
      "laconic::attention", "laconic::attention_recent"};
  return node.kind == graph::NodeKind::kCall && targets.contains(node.target);
}

}  // namespace

Activations::Activations(const graph::Runner& runner, const at::Tensor& windows, int64_t batch,
                         ActivationPlace place)
    : runner_(runner),
      count_(windows.size(0)),
      device_(windows.device()),
      store_(windows.size(0), std::move(place)) {
  const graph::Value input{runner.graph().input(), 0};
  for (int64_t first = 0; first < windows.size(0); first += batch) {
    const int64_t count = std::min(batch, windows.size(0) - first);
    batches_.push_back({{input, windows.narrow(0, first, count)}});
    first_.push_back(first);
    windows_.push_back(count);
  }
}

Activations Activations::copy() const {
  Activations other = *this;
  // Memory of its own: the values that it has now lie in ours.
  other.store_ = store_.another();
  return other;
}

size_t Activations::batch_of(int64_t window) const {
  const auto after = std::upper_bound(first_.begin(), first_.end(), window);
  LACONIC_ASSERT(window >= 0 && window < count_, "there is no window ", window, ".");
  return static_cast<size_t>(after - first_.begin()) - 1;
}

graph::Environment Activations::gather(const std::vector<int64_t>& windows) const {
  graph::Environment gathered;
  for (const auto& [value, first] : batches_.at(0)) {
    std::vector<at::Tensor> rows;
    for (const int64_t window : windows) {
      const size_t i = batch_of(window);
      const at::Tensor& all = batches_[i].at(value);
      // As in ActivationStore: what has another first dimension is of no window.
      const bool has_windows = all.dim() > 0 && all.size(0) == windows_[i];
      if (has_windows) rows.push_back(all.narrow(0, window - first_[i], 1));
    }
    gathered[value] = rows.size() == windows.size() ? at::cat(rows) : first;
  }
  for (const int64_t window : windows) store_.drop(batches_[batch_of(window)]);
  bring(gathered);
  return gathered;
}

/// What waited in main memory, to where it runs.
void Activations::bring(graph::Environment& environment) const {
  if (device_.is_cpu()) return;
  for (auto& [value, tensor] : environment)
    if (tensor.defined() && tensor.is_cpu() && tensor.dim() > 0) tensor = tensor.to(device_);
}

void Activations::begin_block() {
  entered_bytes_ = batches_.empty() ? 0 : bytes_of(batches_.front());
}

void Activations::advance(graph::NodeId node, const graph::Parameters& parameters,
                          Progress& progress) {
  for (size_t i = 0; i < batches_.size(); ++i) {
    move(i, node, parameters);
    progress.advance(windows_[i]);
  }
  store_.release_unused();
  position_ = node;
}

void Activations::move(size_t i, graph::NodeId node, const graph::Parameters& parameters) {
  bring(batches_[i]);
  runner_.run(position_, node, parameters, batches_[i]);
  store_.keep(first_[i], windows_[i], batches_[i]);
  store_.drop(batches_[i]);
}

graph::NodeId Activations::choose_keeping_point(graph::NodeId stop,
                                                const graph::Parameters& parameters) const {
  graph::NodeId last_heavy = -1;
  for (graph::NodeId id = position_; id < stop; ++id) {
    if (is_heavy(runner_.graph().at(id))) last_heavy = id;
  }
  if (last_heavy < 0) return position_;
  // Behind the last expensive node, where the least is alive.
  graph::Environment environment = batches_.front();
  bring(environment);
  runner_.run(position_, last_heavy + 1, parameters, environment);
  graph::NodeId best = last_heavy + 1;
  int64_t least = bytes_of(environment);
  for (graph::NodeId id = last_heavy + 1; id < stop; ++id) {
    runner_.run(id, id + 1, parameters, environment);
    const int64_t bytes = bytes_of(environment);
    if (bytes <= least) {
      least = bytes;
      best = id + 1;
    }
  }
  const int64_t all = least / windows_.front() * (first_.back() + windows_.back());
  return least <= entered_bytes_ * 21 / 10 || all <= kFreeBytes ? best : position_;
}

at::Tensor Activations::look(size_t i, const Place& place, graph::NodeId keep) {
  if (keep > position_) move(i, keep, place.parameters);
  graph::Environment environment = batches_[i];
  bring(environment);
  runner_.run(keep, place.stop, place.parameters, environment, {place.value});
  return environment.at(place.value);
}

void Activations::leave(graph::NodeId keep) {
  if (keep > position_) store_.release_unused();
  position_ = keep;
}

void Activations::visit(graph::NodeId stop, const graph::Value& value,
                        const graph::Parameters& parameters, Progress& progress,
                        const std::function<void(const at::Tensor&)>& see) {
  if (batches_.empty()) return;
  const graph::NodeId keep = choose_keeping_point(stop, parameters);
  for (size_t i = 0; i < batches_.size(); ++i) {
    see(look(i, {*this, stop, value, parameters}, keep));
    store_.drop(batches_[i]);
    progress.advance(windows_[i]);
  }
  leave(keep);
}

void Activations::visit_both(const Place& a, const Place& b, Progress& progress,
                             const std::function<void(const at::Tensor&, const at::Tensor&)>& see) {
  Activations &first = a.activations, &second = b.activations;
  LACONIC_ASSERT(first.windows_ == second.windows_, "the networks have other windows.");
  if (first.batches_.empty()) return;
  const graph::NodeId keep_first = first.choose_keeping_point(a.stop, a.parameters);
  const graph::NodeId keep_second = second.choose_keeping_point(b.stop, b.parameters);
  for (size_t i = 0; i < first.batches_.size(); ++i) {
    see(first.look(i, a, keep_first), second.look(i, b, keep_second));
    first.store_.drop(first.batches_[i]);
    second.store_.drop(second.batches_[i]);
    progress.advance(2 * first.windows_[i]);
  }
  first.leave(keep_first);
  second.leave(keep_second);
}

}  // namespace laconic
