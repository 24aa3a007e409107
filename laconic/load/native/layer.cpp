#include <ATen/ops/isfinite.h>
#include <c10/util/Exception.h>
#include <c10/util/accumulate.h>

#include "laconic/kernel/pack.h"
#include "laconic/load/native/native.h"
#include "laconic/load/native/stored.h"
#include "laconic/quant/quantizer/json.h"

namespace laconic {
namespace {

constexpr int64_t kLargestSide = int64_t{1}
                                 << 31;  // also keeps every product of a shape in 64 bits

// Only a scale that says so may be below zero.
bool may_be_negative(const QuantSpec& spec) {
  const auto scale = statistic_of(spec.scale);
  return scale && std::holds_alternative<SignedFloat>(scale->restriction);
}

bool is_zero_point_dtype(at::ScalarType dtype) {
  return c10::isFloatingType(dtype) || c10::isIntegralType(dtype, /*includeBool=*/false);
}

const nlohmann::json& field(const nlohmann::json& json, const char* key, const std::string& where) {
  TORCH_CHECK_VALUE(json.contains(key), where, ": expected a field \"", key, "\", got none.");
  return json.at(key);
}

std::string text_field(const nlohmann::json& json, const char* key, const std::string& where) {
  const nlohmann::json& value = field(json, key, where);
  TORCH_CHECK_VALUE(value.is_string() && !value.get_ref<const std::string&>().empty(), where, ": ",
                    key, ": expected a name, got ", value.dump(), ".");
  return value.get<std::string>();
}

bool bool_field(const nlohmann::json& json, const char* key, const std::string& where) {
  const nlohmann::json& value = field(json, key, where);
  TORCH_CHECK_VALUE(value.is_boolean(), where, ": ", key, ": expected true or false, got ",
                    value.dump(), ".");
  return value.get<bool>();
}

std::vector<int64_t> shape_field(const nlohmann::json& json, const std::string& where) {
  const nlohmann::json& value = field(json, "shape", where);
  std::vector<int64_t> shape;
  for (const nlohmann::json& side : value) {
    const bool fits = side.is_number_unsigned() && side.get<uint64_t>() >= 1 &&
                      side.get<uint64_t>() < kLargestSide;
    TORCH_CHECK_VALUE(fits, where, ": shape: expected sides from 1 to ", kLargestSide - 1, ", got ",
                      side.dump(), ".");
    shape.push_back(side.get<int64_t>());
  }
  TORCH_CHECK_VALUE(value.is_array() && shape.size() == 2, where,
                    ": shape: expected [out, in], got ", value.dump(), ".");
  return shape;
}

}  // namespace

std::string codes_name(const NativeLayer& layer) { return layer.name + ".weight_codes"; }
std::string scale_name(const NativeLayer& layer) { return layer.name + ".weight_scale"; }
std::string zero_point_name(const NativeLayer& layer) { return layer.name + ".weight_zero_point"; }
std::string choice_name(const NativeLayer& layer) { return layer.name + ".weight_choice"; }
std::string plane_scales_name(const NativeLayer& layer) {
  return layer.name + ".weight_plane_scales";
}
std::string input_scale_name(const NativeLayer& layer) { return layer.name + ".input_scale"; }
std::string input_zero_point_name(const NativeLayer& layer) {
  return layer.name + ".input_zero_point";
}
std::vector<std::string> tensor_names(const NativeLayer& layer) {
  return {codes_name(layer),           scale_name(layer),        zero_point_name(layer),
          choice_name(layer),          plane_scales_name(layer), input_scale_name(layer),
          input_zero_point_name(layer)};
}

int64_t bit_width(const QuantSpec& spec) { return stored_bits(spec.format); }

bool is_signed(const QuantSpec& spec) { return has_negative_codes(spec.format); }

bool is_asymmetric(const QuantSpec& spec) {
  return !std::holds_alternative<NoZeroPoint>(spec.zero_point);
}

bool has_choice(const QuantSpec& spec) { return std::holds_alternative<ChoiceFormat>(spec.format); }

namespace {

int64_t choice_bits_of(const NativeLayer& layer) {
  return choice_bits(std::get<ChoiceFormat>(layer.weight.format));
}

int64_t scale_count(const NativeLayer& layer) {
  return c10::multiply_integers(scale_shape(layer.shape, layer.weight.granularity));
}

}  // namespace

bool has_planes(const QuantSpec& spec) { return scales_beside(spec.format) > 0; }

std::vector<int64_t> plane_scales_shape(const NativeLayer& layer) {
  auto shape = scale_shape(layer.shape, layer.weight.granularity);
  shape.insert(shape.begin(), scales_beside(layer.weight.format));
  return shape;
}

int64_t choice_bytes(const NativeLayer& layer) {
  return (scale_count(layer) * choice_bits_of(layer) + 7) / 8;
}

at::Tensor unpack_choice(const NativeLayer& layer, const at::Tensor& packed) {
  return unpack_rows(packed.unsqueeze(0), choice_bits_of(layer), scale_count(layer))
      .to(at::kByte)
      .view(scale_shape(layer.shape, layer.weight.granularity));
}

bool has_static_input(const NativeLayer& layer) {
  return layer.input && std::holds_alternative<StaticScale>(layer.input->scale);
}

std::vector<int64_t> input_scale_shape(const NativeLayer& layer) {
  return scale_shape({1, 1, layer.shape.at(1)}, layer.input->granularity);
}

at::Tensor stored_minimum(const QuantSpec& spec, const QuantParameters& parameters) {
  const double q_min = element_range(spec.format).low;
  const auto minimum =
      (parameters.zero_point.to(at::kFloat) - q_min).neg() * parameters.scale.to(at::kFloat);
  return minimum.to(at::kHalf).to(at::kFloat);
}

void check_codes(const NativeLayer& layer, const at::Tensor& codes, const std::string& where) {
  const auto dtype = is_signed(layer.weight) ? at::ScalarType::Char : at::ScalarType::Byte;
  TORCH_CHECK_VALUE(codes.defined() && codes.scalar_type() == dtype && codes.sizes() == layer.shape,
                    where, ": codes: expected ", dtype, " ", at::IntArrayRef(layer.shape), ", got ",
                    codes.defined() ? codes.toString() : "nothing", " ",
                    codes.defined() ? codes.sizes() : at::IntArrayRef(), ".");
  const auto [q_min, q_max] = code_range(layer.weight.format);
  const auto low = codes.min().item<int64_t>(), high = codes.max().item<int64_t>();
  TORCH_CHECK_VALUE(low >= q_min && high <= q_max, where, ": codes: expected ", q_min, " to ",
                    q_max, ", got ", low, " to ", high,
                    ". The file is damaged, or does not belong to its spec.");
}

namespace {

void check_choice(const QuantSpec& spec, const QuantParameters& parameters,
                  const std::string& where) {
  const auto* format = std::get_if<ChoiceFormat>(&spec.format);
  const at::Tensor& choice = parameters.choice;
  TORCH_CHECK_VALUE(choice.defined() == (format != nullptr), where, ": choice: expected ",
                    format != nullptr ? "a table for each scale" : "none (there is one table)",
                    ", got ", choice.defined() ? "some" : "none", ".");
  if (format == nullptr) return;
  const auto last = static_cast<int64_t>(format->tables.size()) - 1;
  const bool fits = choice.scalar_type() == at::kByte && choice.sizes() == parameters.scale.sizes();
  TORCH_CHECK_VALUE(fits && choice.max().item<int64_t>() <= last, where,
                    ": choice: expected bytes of 0 to ", last, " of shape ",
                    parameters.scale.sizes(), ", got ", choice.toString(), " ", choice.sizes(),
                    ". The file is damaged, or does not belong to its spec.");
}

void check_parameters(const QuantSpec& spec, const std::vector<int64_t>& shape,
                      const QuantParameters& parameters, const std::string& where) {
  const at::Tensor& scale = parameters.scale;
  TORCH_CHECK_VALUE(
      scale.defined() && c10::isFloatingType(scale.scalar_type()) && scale.sizes() == shape, where,
      ": scale: expected floating ", at::IntArrayRef(shape), ", got ",
      scale.defined() ? scale.toString() : "nothing", " ",
      scale.defined() ? scale.sizes() : at::IntArrayRef(), ".");
  const auto value = scale.to(at::kFloat);
  TORCH_CHECK_VALUE(
      (at::isfinite(value) & (may_be_negative(spec) ? value != 0 : value > 0)).all().item<bool>(),
      where, ": scale: expected finite numbers above zero, got others (from ",
      value.min().item<float>(), " to ", value.max().item<float>(), ").");
  check_choice(spec, parameters, where);
  const at::Tensor& zero = parameters.zero_point;
  TORCH_CHECK_VALUE(
      zero.defined() == is_asymmetric(spec), where, ": zero point: expected ",
      is_asymmetric(spec) ? "one (the spec is asymmetric)" : "none (the spec is symmetric)",
      ", got ", zero.defined() ? "one" : "none", ".");
  if (!zero.defined()) return;
  TORCH_CHECK_VALUE(is_zero_point_dtype(zero.scalar_type()) && zero.sizes() == shape, where,
                    ": zero point: expected numbers ", at::IntArrayRef(shape), ", got ",
                    zero.toString(), " ", zero.sizes(), ".");
  TORCH_CHECK_VALUE(at::isfinite(zero.to(at::kFloat)).all().item<bool>(), where,
                    ": zero point: expected finite numbers, got others.");
}

}  // namespace

namespace {

void check_plane_scales(const NativeLayer& layer, const at::Tensor& scales,
                        const std::string& where) {
  TORCH_CHECK_VALUE(scales.defined() == has_planes(layer.weight), where,
                    ": plane scales: expected ",
                    has_planes(layer.weight) ? "those of each plane" : "none (there is one plane)",
                    ", got ", scales.defined() ? "some" : "none", ".");
  if (!scales.defined()) return;
  const bool fits = c10::isFloatingType(scales.scalar_type()) &&
                    scales.sizes() == plane_scales_shape(layer) &&
                    (at::isfinite(scales) & (scales > 0)).all().item<bool>();
  TORCH_CHECK_VALUE(fits, where, ": plane scales: expected finite numbers above zero of shape ",
                    at::IntArrayRef(plane_scales_shape(layer)), ", got others (", scales.toString(),
                    " ", scales.sizes(), ").");
}

}  // namespace

void check_parameters(const NativeLayer& layer, const QuantParameters& parameters,
                      const std::string& where) {
  check_plane_scales(layer, parameters.plane_scales, where);
  check_parameters(layer.weight, scale_shape(layer.shape, layer.weight.granularity), parameters,
                   where);
}

void check_input_parameters(const NativeLayer& layer, const QuantParameters& parameters,
                            const std::string& where) {
  check_parameters(*layer.input, input_scale_shape(layer), parameters, where + ": input");
}

std::vector<std::pair<std::string, at::Tensor>> native_tensors(
    const NativeLayer& layer, const at::Tensor& codes, const QuantParameters& parameters,
    const std::optional<QuantParameters>& input) {
  const std::string where = "[native] layer " + layer.name;
  TORCH_CHECK_VALUE(input.has_value() == has_static_input(layer), where, ": expected ",
                    has_static_input(layer) ? "parameters of its static input, got none."
                                            : "no parameters of its input, got some.");
  if (input) check_input_parameters(layer, *input, where);
  check_codes(layer, codes, where);
  check_parameters(layer, parameters, where);
  const int64_t bits = bit_width(layer.weight);
  const int64_t offset = is_signed(layer.weight) ? int64_t{1} << (bits - 1) : 0;
  const auto unsigned_codes = (codes.to(at::kShort) + offset).to(at::kByte);
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  tensors.emplace_back(codes_name(layer), pack_rows(unsigned_codes, bits));
  tensors.emplace_back(scale_name(layer), parameters.scale.contiguous());
  if (parameters.zero_point.defined())
    tensors.emplace_back(zero_point_name(layer), parameters.zero_point.contiguous());
  if (has_planes(layer.weight))
    tensors.emplace_back(plane_scales_name(layer), parameters.plane_scales.contiguous());
  if (has_choice(layer.weight))
    tensors.emplace_back(
        choice_name(layer),
        pack_rows(parameters.choice.reshape({1, -1}), choice_bits_of(layer)).squeeze(0));
  if (!input) return tensors;
  tensors.emplace_back(input_scale_name(layer), input->scale.contiguous());
  if (input->zero_point.defined())
    tensors.emplace_back(input_zero_point_name(layer), input->zero_point.contiguous());
  return tensors;
}

nlohmann::json to_json(const NativeLayer& layer) {
  nlohmann::json json = {{"name", layer.name},
                         {"weight_name", layer.weight_name},
                         {"transposed", layer.transposed},
                         {"shape", layer.shape},
                         {"weight", to_json(layer.weight)},
                         {"input", layer.input ? to_json(*layer.input) : nlohmann::json()}};
  if (layer.is_embedding) json["embedding"] = true;
  return json;
}

NativeLayer native_layer_from_json(const nlohmann::json& json, const std::string& where,
                                   const QuantParts& parts) {
  TORCH_CHECK_VALUE(json.is_object(), where, ": expected an object, got ", json.type_name(), ".");
  NativeLayer layer;
  layer.name = text_field(json, "name", where);
  const std::string here = where + " \"" + layer.name + "\"";
  layer.weight_name = text_field(json, "weight_name", here);
  layer.transposed = bool_field(json, "transposed", here);
  if (json.contains("embedding")) layer.is_embedding = bool_field(json, "embedding", here);
  layer.shape = shape_field(json, here);
  layer.weight = quant_spec_from_json(field(json, "weight", here), here + ": weight", parts);
  const nlohmann::json& input = field(json, "input", here);
  if (!input.is_null()) layer.input = quant_spec_from_json(input, here + ": input", parts);
  TORCH_CHECK_VALUE(json.size() == (json.contains("embedding") ? 7 : 6), here,
                    ": expected the fields {name, weight_name, transposed, shape, weight, input} "
                    "and perhaps embedding, got unknown ones too.");
  TORCH_CHECK_VALUE(!layer.is_embedding || (!layer.transposed && !layer.input), here,
                    ": expected an embedding to be neither transposed nor to have an input.");
  return layer;
}

}  // namespace laconic
