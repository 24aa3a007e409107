#include "laconic/calibrate/activation_store.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>

namespace laconic {

ActivationStore::Slab* ActivationStore::find_slab(const at::Tensor& tensor,
                                                  const std::vector<bool>& is_taken) {
  const int64_t elements = tensor.numel() / tensor.size(0);
  for (size_t i = 0; i < slabs_.size(); ++i) {
    const at::Tensor& rows = slabs_[i].rows;
    if (!is_taken[i] && rows.size(1) == elements && rows.scalar_type() == tensor.scalar_type())
      return &slabs_[i];
  }
  return nullptr;
}

at::Tensor ActivationStore::new_rows(int64_t elements, const at::Tensor& like) const {
  auto options = like.options();
  if (place_.in_main_memory) options = options.device(at::kCPU);
  if (place_.disk == nullptr || !options.device().is_cpu())
    return at::empty({windows_, elements}, options);
  const auto memory =
      place_.disk->take(static_cast<size_t>(windows_ * elements) * like.element_size());
  return at::from_blob(
      memory.get(), {windows_, elements}, [memory](void*) {}, options);
}

void ActivationStore::keep(int64_t first, int64_t count, graph::Environment& environment) {
  std::vector<bool> is_taken(slabs_.size(), false);
  std::vector<at::Tensor*> arrived;
  for (auto& [value, tensor] : environment) {
    if (!tensor.defined() || tensor.dim() == 0 || tensor.size(0) != count || tensor.numel() == 0)
      continue;
    bool is_inside = false;
    for (size_t i = 0; i < slabs_.size(); ++i) {
      if (!tensor.is_alias_of(slabs_[i].rows)) continue;
      is_inside = is_taken[i] = slabs_[i].is_used = true;
    }
    if (!is_inside) arrived.push_back(&tensor);
  }
  for (at::Tensor* tensor : arrived) {
    Slab* slab = find_slab(*tensor, is_taken);
    if (slab == nullptr) {
      const int64_t elements = tensor->numel() / count;
      slabs_.push_back({new_rows(elements, *tensor)});
      is_taken.push_back(false);
      slab = &slabs_.back();
    }
    slab->is_used = is_taken[static_cast<size_t>(slab - slabs_.data())] = true;
    const at::Tensor place = slab->rows.narrow(0, first, count).view(tensor->sizes());
    place.copy_(*tensor);
    *tensor = place;
  }
}

void ActivationStore::drop(const graph::Environment& environment) const {
  if (place_.disk == nullptr) return;
  const auto let_go = [&](const at::Tensor& tensor) {
    if (tensor.defined() && tensor.has_storage())
      place_.disk->drop(tensor.storage().data(), tensor.storage().nbytes());
  };
  for (const auto& [value, tensor] : environment) let_go(tensor);
  for (const Slab& slab : slabs_) let_go(slab.rows);
}

void ActivationStore::release_unused() {
  std::erase_if(slabs_, [](const Slab& slab) { return !slab.is_used; });
  for (Slab& slab : slabs_) slab.is_used = false;
}

}  // namespace laconic
