#include "laconic/load/huggingface/checkpoint_parameters.h"

namespace laconic {

at::Tensor CheckpointParameters::get(const std::string& name) const {
  if (!resident_ || checkpoint_->entry(name).dtype == at::kFloat)
    return checkpoint_->tensor(name).to(at::kFloat);
  const std::lock_guard lock(mutex_);
  at::Tensor& kept = kept_[name];
  if (!kept.defined()) {
    kept = checkpoint_->tensor(name).to(at::kFloat);
    checkpoint_->drop(name);
  }
  return kept;
}

void CheckpointParameters::release(const std::string& name) const {
  if (!resident_ && checkpoint_->has(name)) checkpoint_->drop(name);
}

}  // namespace laconic
