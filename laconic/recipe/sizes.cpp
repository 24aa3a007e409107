#include "laconic/recipe/sizes.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>

#include "laconic/base/variant.h"
#include "laconic/quant/quantizer/hierarchy.h"

namespace laconic {
namespace {

int64_t element_count(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

using Shape = std::vector<int64_t>;

constexpr double kFloatBits = 32, kHalfBits = 16, kExponentBits = 8;

// Of a number of `shape` as a file stores it, with its share of scales and zero points.
double bits_per_number(const QuantSpec& spec, const Shape& shape);

double scale_bits(const QuantSpec& spec, const Shape& scales) {
  if (std::holds_alternative<ConstantScale>(spec.scale)) return 0;
  const auto scale = statistic_of(spec.scale);
  if (!scale) return kFloatBits;
  if (const auto* by = std::get_if<QuantizedBy>(&scale->restriction))
    return bits_per_number(*by->quantizer, unshared_shape(scales, spec.granularity));
  if (std::holds_alternative<PowerOfTwo>(scale->restriction)) return kExponentBits;
  return std::holds_alternative<StoredAs>(scale->restriction) ? kHalfBits : kFloatBits;
}

double zero_point_bits(const QuantSpec& spec, const Shape& scales) {
  return std::visit(
      Overloaded{
          [](const NoZeroPoint&) { return 0.0; },
          [&](const IntegerZeroPoint&) { return static_cast<double>(stored_bits(spec.format)); },
          [](const FloatZeroPoint&) { return kFloatBits; },
          [](const StoredMinimum&) { return kHalfBits; },
          [&](const QuantizedMinimum& kind) {
            return bits_per_number(*kind.quantizer, unshared_shape(scales, spec.granularity));
          },
          [](const CustomZeroPoint&) { return kFloatBits; }},
      spec.zero_point);
}

double table_bits(const Format& format) {
  const auto* choice = std::get_if<ChoiceFormat>(&format);
  return choice != nullptr ? static_cast<double>(choice_bits(*choice)) : 0;
}

double bits_per_number(const QuantSpec& spec, const Shape& shape) {
  const Shape scales = scale_shape(shape, spec.granularity);
  const double share =
      static_cast<double>(element_count(scales)) / static_cast<double>(element_count(shape));
  return static_cast<double>(stored_bits(spec.format)) +
         share * (static_cast<double>(1 + scales_beside(spec.format)) * scale_bits(spec, scales) +
                  zero_point_bits(spec, scales) + table_bits(spec.format));
}

// Tensors of a native directory that are no parameters of the model.
bool is_of_quantizer(const std::string& name) {
  constexpr const char* kEndings[] = {
      ".weight_codes",        ".weight_scale", ".weight_zero_point", ".weight_choice",
      ".weight_plane_scales", ".input_scale",  ".input_zero_point"};
  return std::any_of(std::begin(kEndings), std::end(kEndings),
                     [&](const char* ending) { return name.ends_with(ending); });
}

}  // namespace

double bits_per_weight(const NativeLayer& layer) {
  return bits_per_number(layer.weight, layer.shape);
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
