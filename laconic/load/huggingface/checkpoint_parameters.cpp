#include "laconic/load/huggingface/checkpoint_parameters.h"

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

graph::Description CheckpointParameters::describe(const std::string& name) const {
  const SafetensorsEntry& entry = checkpoint_->entry(name);
  return {entry.shape, entry.dtype};
}

void CheckpointParameters::release(const std::string& name) const {
  if (!resident_ && checkpoint_->has(name)) checkpoint_->drop(name);
}

}  // namespace laconic
