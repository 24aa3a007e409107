#include "laconic/calibrate/kept_tensors.h"

#include <algorithm>

#include "laconic/load/check_finite.h"

namespace laconic {
namespace {

constexpr int64_t kBand = int64_t{1} << 24;  // elements

}  // namespace

std::set<std::string> KeptTensors::names() const {
  std::set<std::string> names;
  for (const std::string& name : checkpoint_->names()) names.insert(name);
  names.insert(model_.changed.begin(), model_.changed.end());
  if (model_.graph_changes.empty()) return names;
  std::set<std::string> read;
  for (const graph::Node& node : model_.graph.nodes)
    if (node.kind == graph::NodeKind::kParameter && names.contains(node.target))
      read.insert(node.target);
  return read;
}

void KeptTensors::add(const std::string& name, NamedTensors& tensors) const {
  const auto& parameters = *model_.parameters;
  const std::string where = model_.directory.string();
  if (model_.changed.contains(name)) {
    tensors.emplace_back(
        name, parameters.get(name).to(at::kCPU, parameters.describe(name).dtype).contiguous());
    return check_finite(where, name, tensors.back().second);
  }
  const at::Tensor stored = checkpoint_->tensor(name);
  const at::Tensor flat = stored.view({-1});
  bool finite = true;
  for (int64_t begin = 0; finite && begin < flat.numel(); begin += kBand) {
    finite = is_finite(flat.narrow(0, begin, std::min(kBand, flat.numel() - begin)));
    checkpoint_->drop(name);
  }
  if (!finite) check_finite(where, name, stored);
  tensors.emplace_back(name, stored);
}

void KeptTensors::drop(const std::string& name) const {
  if (checkpoint_->has(name)) checkpoint_->drop(name);
}

void KeptTensors::drop_all() const {
  for (const std::string& name : checkpoint_->names()) checkpoint_->drop(name);
}

}  // namespace laconic
