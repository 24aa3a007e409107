#include "laconic/graph/placed_parameters.h"

namespace laconic::graph {

at::Tensor PlacedParameters::get(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  if (const auto kept = kept_.find(name); kept != kept_.end()) return kept->second;
  const at::Tensor placed = below_->get(name).to(device_);
  if (resident_) kept_.emplace(name, placed);
  return placed;
}

at::Tensor PlacedParameters::rows(const std::string& name, const at::Tensor& indices) const {
  return below_->rows(name, indices.cpu()).to(device_);
}

}  // namespace laconic::graph
