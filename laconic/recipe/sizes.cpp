#include "laconic/recipe/sizes.h"

#include <functional>
#include <numeric>

#include "laconic/base/variant.h"

namespace laconic {
namespace {

constexpr int64_t kFloatBits = 32, kHalfBits = 16;

int64_t element_count(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

int64_t code_bits(const QuantSpec& spec) { return std::get<IntFormat>(spec.format).bit_width; }

int64_t scale_bits(const QuantSpec& spec) {
  const auto of = [](const auto& scale) -> int64_t {
    return std::holds_alternative<StoredAs>(scale.restriction) ? kHalfBits : kFloatBits;
  };
  return std::visit(Overloaded{[](const ConstantScale&) -> int64_t { return 0; }, of}, spec.scale);
}

int64_t zero_point_bits(const QuantSpec& spec) {
  return std::visit(Overloaded{[](const NoZeroPoint&) -> int64_t { return 0; },
                               [&](const IntegerZeroPoint&) { return code_bits(spec); },
                               [](const FloatZeroPoint&) { return kFloatBits; },
                               [](const StoredMinimum&) { return kHalfBits; }},
                    spec.zero_point);
}

}  // namespace

double bits_per_weight(const NativeLayer& layer) {
  const double weights = static_cast<double>(element_count(layer.shape));
  const double scales =
      static_cast<double>(element_count(scale_shape(layer.shape, layer.weight.granularity)));
  return static_cast<double>(code_bits(layer.weight)) +
         scales * static_cast<double>(scale_bits(layer.weight) + zero_point_bits(layer.weight)) /
             weights;
}

ModelSize measure_size(const std::filesystem::path& directory) {
  ModelSize size;
  double bits = 0;
  std::shared_ptr<const NativeDirectory> native;
  if (NativeDirectory::is_native(directory)) native = NativeDirectory::open(directory);
  const auto checkpoint = native ? nullptr : Checkpoint::open(directory);
  const Checkpoint& tensors = native ? native->tensors() : *checkpoint;
  for (const std::string& name : tensors.names()) {
    const SafetensorsEntry& entry = tensors.entry(name);
    size.bytes += entry.end - entry.begin;
    const bool stored_part =
        native && (name.ends_with(".weight_codes") || name.ends_with(".weight_scale") ||
                   name.ends_with(".weight_zero_point"));
    if (!stored_part) size.parameters += element_count(entry.shape);
  }
  if (native) {
    for (const NativeLayer& layer : native->layers()) {
      const int64_t count = element_count(layer.shape);
      size.quantized_parameters += count;
      bits += bits_per_weight(layer) * static_cast<double>(count);
    }
  }
  size.parameters += size.quantized_parameters;
  if (size.quantized_parameters > 0)
    size.bits_per_weight = bits / static_cast<double>(size.quantized_parameters);
  if (size.parameters > 0)
    size.bits_per_parameter =
        8.0 * static_cast<double>(size.bytes) / static_cast<double>(size.parameters);
  return size;
}

}  // namespace laconic
