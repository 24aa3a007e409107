#include "laconic/load/huggingface/checkpoint_parameters.h"

#include <ATen/ops/index_select.h>

#include "laconic/load/check_finite.h"

namespace laconic {

at::Tensor CheckpointParameters::get(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  if (const auto kept = kept_.find(name); kept != kept_.end()) return kept->second;
  const auto stored = checkpoint_->tensor(name);
  const auto tensor = stored.to(at::kFloat);
  if (checked_.insert(name).second) check_finite(where_, name, tensor);
  if (!resident_ || stored.scalar_type() == at::kFloat) return tensor;
  kept_.emplace(name, tensor);
  checkpoint_->drop(name);
  return tensor;
}

at::Tensor CheckpointParameters::rows(const std::string& name, const at::Tensor& indices) const {
  const std::lock_guard lock(mutex_);
  if (const auto kept = kept_.find(name); kept != kept_.end())
    return at::index_select(kept->second, 0, indices);
  const auto tensor = at::index_select(checkpoint_->tensor(name), 0, indices).to(at::kFloat);
  if (!checked_.contains(name)) check_finite(where_, name, tensor);
  return tensor;
}

graph::Description CheckpointParameters::describe(const std::string& name) const {
  const SafetensorsEntry& entry = checkpoint_->entry(name);
  return {entry.shape, entry.dtype};
}

void CheckpointParameters::release(const std::string& name) const {
  if (!resident_ && checkpoint_->has(name)) checkpoint_->drop(name);
}

}  // namespace laconic
