#include "laconic/recipe/sizes.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>

#include "laconic/base/variant.h"

namespace laconic {
namespace {

constexpr int64_t kFloatBits = 32, kHalfBits = 16;

int64_t element_count(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

int64_t code_bits(const QuantSpec& spec) { return stored_bits(spec.format); }

int64_t scale_bits(const QuantSpec& spec) {
  if (std::holds_alternative<ConstantScale>(spec.scale)) return 0;
  const auto scale = statistic_of(spec.scale);
  const bool is_half = scale && std::holds_alternative<StoredAs>(scale->restriction);
  return is_half ? kHalfBits : kFloatBits;
}

int64_t zero_point_bits(const QuantSpec& spec) {
  return std::visit(Overloaded{[](const NoZeroPoint&) -> int64_t { return 0; },
                               [&](const IntegerZeroPoint&) { return code_bits(spec); },
                               [](const FloatZeroPoint&) { return kFloatBits; },
                               [](const StoredMinimum&) { return kHalfBits; },
                               [](const QuantizedMinimum&) { return kFloatBits; },
                               [](const CustomZeroPoint&) { return kFloatBits; }},
                    spec.zero_point);
}

// Tensors of a native directory that are no parameters of the model.
bool is_of_quantizer(const std::string& name) {
  constexpr const char* kEndings[] = {".weight_codes", ".weight_scale", ".weight_zero_point",
                                      ".input_scale", ".input_zero_point"};
  return std::any_of(std::begin(kEndings), std::end(kEndings),
                     [&](const char* ending) { return name.ends_with(ending); });
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

ModelSize measure_size(const std::filesystem::path& directory, const QuantParts& parts) {
  ModelSize size;
  double bits = 0;
  std::shared_ptr<const NativeDirectory> native;
  if (NativeDirectory::is_native(directory)) native = NativeDirectory::open(directory, parts);
  const auto checkpoint = native ? nullptr : Checkpoint::open(directory);
  const Checkpoint& tensors = native ? native->tensors() : *checkpoint;
  for (const std::string& name : tensors.names()) {
    const SafetensorsEntry& entry = tensors.entry(name);
    size.bytes += entry.end - entry.begin;
    if (!native || !is_of_quantizer(name)) size.parameters += element_count(entry.shape);
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
