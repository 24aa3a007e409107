#include "laconic/load/native/native_parameters.h"

#include "laconic/load/check_finite.h"
#include "laconic/load/native/stored.h"

namespace laconic {
namespace {

std::string weight_of(const NativeLayer& layer) { return layer.name + ".weight"; }

std::string stored_prefix(const NativeLayer& layer) { return layer.name + ".weight_"; }

}  // namespace

NativeParameters::NativeParameters(std::shared_ptr<const NativeDirectory> native, bool resident)
    : native_(std::move(native)),
      rest_(std::shared_ptr<const Checkpoint>(native_, &native_->tensors()), resident,
            native_->path().string()),
      resident_(resident) {
  for (const NativeLayer& layer : native_->layers()) layers_.emplace(weight_of(layer), &layer);
}

at::Tensor NativeParameters::dequantized(const NativeLayer& layer) const {
  const auto weight = native_->dequantized(layer);
  check_finite(native_->path().string(), weight_of(layer), weight);
  return layer.transposed ? weight.t() : weight;
}

at::Tensor NativeParameters::get(const std::string& name) const {
  const auto found = layers_.find(name);
  if (found == layers_.end()) return rest_.get(name);
  if (!resident_) return dequantized(*found->second);
  const std::lock_guard lock(mutex_);
  at::Tensor& kept = kept_[name];
  if (!kept.defined()) kept = dequantized(*found->second);
  return kept;
}

bool NativeParameters::is_kept(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  return kept_.contains(name);
}

at::Tensor NativeParameters::rows(const std::string& name, const at::Tensor& indices) const {
  const auto found = layers_.find(name);
  if (found == layers_.end()) return rest_.rows(name, indices);
  const NativeLayer& layer = *found->second;
  if (layer.transposed || is_kept(name)) return Parameters::rows(name, indices);
  const auto rows = native_->dequantized_rows(layer, indices);
  check_finite(native_->path().string(), name, rows);
  return rows;
}

void NativeParameters::release(const std::string& name) const {
  const auto found = layers_.find(name);
  if (found == layers_.end()) return rest_.release(name);
  if (resident_) return;
  for (const char* part : {"codes", "scale", "zero_point", "choice", "plane_scales"}) {
    const std::string stored = stored_prefix(*found->second) + part;
    if (native_->tensors().has(stored)) native_->tensors().drop(stored);
  }
}

StoredTensors stored_tensors(const NativeDirectory& native) {
  StoredTensors stored = stored_tensors(native.path(), native.tensors());
  for (const NativeLayer& layer : native.layers()) {
    std::erase_if(stored.tensors, [&](const auto& item) {
      return item.first.starts_with(stored_prefix(layer)) ||
             item.first == input_scale_name(layer) || item.first == input_zero_point_name(layer);
    });
    auto shape = layer.shape;
    if (layer.transposed) std::swap(shape.at(0), shape.at(1));
    stored.tensors[weight_of(layer)] = {weight_of(layer), at::kFloat, shape};
  }
  // A quantized head is not the embedding that it was tied to.
  const auto equal = stored.equal;
  stored.equal = [&native, equal](const std::string& first, const std::string& second) {
    return native.tensors().has(first) && native.tensors().has(second) && equal(first, second);
  };
  return stored;
}

}  // namespace laconic
