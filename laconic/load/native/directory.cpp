#include <ATen/ops/index_select.h>
#include <c10/util/Exception.h>

#include "laconic/file/json/json.h"
#include "laconic/load/native/native.h"
#include "laconic/load/native/stored.h"

namespace laconic {
namespace {

void check_version(const nlohmann::json& manifest, const std::string& where) {
  TORCH_CHECK_VALUE(manifest.is_object(), where, ": expected an object, got ", manifest.type_name(),
                    ".");
  const auto version = manifest.find("format_version");
  TORCH_CHECK_VALUE(version != manifest.end() && version->is_number_integer(), where,
                    ": format_version: expected a whole number, got ",
                    version == manifest.end() ? "none" : version->dump(), ".");
  const auto number = version->get<int64_t>();
  TORCH_CHECK_VALUE(number <= NativeDirectory::kFormatVersion, where,
                    ": format_version: expected at most ", NativeDirectory::kFormatVersion,
                    ", got ", number, ". A newer Laconic wrote this directory; update Laconic.");
  TORCH_CHECK_VALUE(number >= 1, where, ": format_version: expected at least 1, got ", number, ".");
}

const SafetensorsEntry& stored(const Checkpoint& tensors, const std::string& name,
                               const std::string& where) {
  TORCH_CHECK_VALUE(tensors.has(name), where, ": expected a stored tensor ", name,
                    ", got none. Quantize again.");
  return tensors.entry(name);
}

// Names, shapes and dtypes; the numbers themselves are checked when they are read.
void check_layer(const NativeLayer& layer, const Checkpoint& tensors, const std::string& where) {
  const auto shape = scale_shape(layer.shape, layer.weight.granularity);
  const auto agree = [&](const SafetensorsEntry& entry, bool dtype_fits,
                         const std::vector<int64_t>& expected) {
    TORCH_CHECK_VALUE(dtype_fits && entry.shape == expected, where, ": ", entry.name,
                      ": expected shape ", at::IntArrayRef(expected), " and a fitting dtype, got ",
                      at::IntArrayRef(entry.shape), " ", entry.dtype, ".");
  };
  const auto& codes = stored(tensors, codes_name(layer), where);
  agree(codes, codes.dtype == at::kByte,
        {layer.shape[0], (layer.shape[1] * bit_width(layer.weight) + 7) / 8});
  const auto& scale = stored(tensors, scale_name(layer), where);
  agree(scale, c10::isFloatingType(scale.dtype), shape);
  if (is_asymmetric(layer.weight)) {
    const auto& zero = stored(tensors, zero_point_name(layer), where);
    agree(zero, c10::isFloatingType(zero.dtype) || c10::isIntegralType(zero.dtype, false), shape);
  }
  if (has_planes(layer.weight)) {
    const auto& scales = stored(tensors, plane_scales_name(layer), where);
    agree(scales, c10::isFloatingType(scales.dtype), plane_scales_shape(layer));
  }
  if (has_choice(layer.weight)) {
    const auto& choice = stored(tensors, choice_name(layer), where);
    agree(choice, choice.dtype == at::kByte, {choice_bytes(layer)});
  }
  if (has_static_input(layer)) {
    const auto& input = stored(tensors, input_scale_name(layer), where);
    agree(input, c10::isFloatingType(input.dtype), input_scale_shape(layer));
    if (is_asymmetric(*layer.input)) {
      const auto& zero = stored(tensors, input_zero_point_name(layer), where);
      agree(zero, c10::isFloatingType(zero.dtype), input_scale_shape(layer));
    }
  }
  TORCH_CHECK_VALUE(!tensors.has(layer.weight_name), where, ": ", layer.weight_name,
                    " is stored although the layer is quantized. Expected codes and scales only.");
}

void check_spec(const NativeLayer& layer, const std::string& where) {
  const int64_t bits = bit_width(layer.weight);
  const int64_t least = std::holds_alternative<IntFormat>(layer.weight.format) ? 2 : 1;
  TORCH_CHECK_VALUE(bits >= least && bits <= 8, where, ": expected codes of ", least,
                    " to 8 bits, got ", bits, ".");
  try {
    check_granularity(layer.weight.granularity, layer.shape);
  } catch (const c10::Error& error) {
    TORCH_CHECK_VALUE(false, where, ": ", error.what_without_backtrace());
  }
}

std::string where_of(const std::filesystem::path& path, const NativeLayer& layer) {
  return "[native] " + path.string() + ": layer " + layer.name;
}

TensorOf tensors_of(const Checkpoint& checkpoint) {
  return [&checkpoint](const std::string& name) { return checkpoint.tensor(name); };
}

/// NativeDirectory::dequantized.
at::Tensor real_weight(const NativeLayer& layer, const at::Tensor& codes, QuantParameters wide) {
  wide.scale = wide.scale.to(at::kFloat);
  if (wide.zero_point.defined()) wide.zero_point = wide.zero_point.to(at::kFloat);
  if (std::holds_alternative<StoredMinimum>(layer.weight.zero_point)) {
    // As the reader of a file computes it from the two float16 numbers; the other formula rounds
    // otherwise.
    const auto steps = codes.to(at::kFloat).sub_(code_range(layer.weight.format).q_min);
    const auto scaled = steps * spread(wide.scale, layer.shape, layer.weight.granularity);
    return scaled +
           spread(stored_minimum(layer.weight, wide), layer.shape, layer.weight.granularity);
  }
  return dequantize(layer.weight, codes, wide).contiguous();
}

/// Whether each row has scales of its own, and they are rows of the scale.
bool has_row_scales(const Granularity& granularity) {
  if (const auto* channel = std::get_if<PerChannel>(&granularity))
    return channel->axis == 0 || channel->axis == -2;
  const auto* group = std::get_if<PerGroup>(&granularity);
  return group != nullptr && (group->axis == 1 || group->axis == -1);
}

}  // namespace

bool NativeDirectory::is_native(const std::filesystem::path& directory) {
  return std::filesystem::exists(directory / kManifest);
}

std::shared_ptr<const NativeDirectory> NativeDirectory::open(const std::filesystem::path& directory,
                                                             const QuantParts& parts) {
  const auto path = directory / kManifest;
  const std::string where = "[native] " + path.string();
  auto native = std::make_shared<NativeDirectory>();
  native->path_ = directory;
  native->manifest_ = read_json_file(path);
  const nlohmann::json& manifest = native->manifest_;
  check_version(manifest, where);
  TORCH_CHECK_VALUE(manifest.contains("architecture") && manifest["architecture"].is_string(),
                    where, ": architecture: expected a name, got none.");
  TORCH_CHECK_VALUE(manifest.contains("layers") && manifest["layers"].is_array(), where,
                    ": layers: expected a list, got none.");
  native->tensors_ = Checkpoint::open(directory);
  for (const nlohmann::json& json : manifest["layers"]) {
    const size_t index = native->layers_.size();
    NativeLayer layer =
        native_layer_from_json(json, where + ": layers[" + std::to_string(index) + "]", parts);
    const std::string here = where + ": layer " + layer.name;
    TORCH_CHECK_VALUE(native->index_.emplace(layer.name, index).second, here,
                      ": expected it once, got it twice.");
    check_spec(layer, here);
    check_layer(layer, *native->tensors_, here);
    native->layers_.push_back(std::move(layer));
  }
  return native;
}

std::shared_ptr<const NativeDirectory> NativeDirectory::of_checkpoint(
    const std::filesystem::path& directory) {
  auto native = std::make_shared<NativeDirectory>();
  native->path_ = directory;
  native->tensors_ = Checkpoint::open(directory);
  return native;
}

std::vector<std::string> NativeDirectory::graph_changes() const {
  if (!manifest_.is_object() || !manifest_.contains("graph")) return {};
  std::vector<std::string> changes;
  const nlohmann::json& field = manifest_["graph"];
  for (const nlohmann::json& change : field)
    if (change.is_string()) changes.push_back(change.get<std::string>());
  TORCH_CHECK_VALUE(field.is_array() && !changes.empty() && changes.size() == field.size(),
                    "[native] ", (path_ / kManifest).string(),
                    ": graph: expected a list of names of transforms, got ", field.dump(), ".");
  return changes;
}

const NativeLayer* NativeDirectory::find(const std::string& layer_name) const {
  const auto found = index_.find(layer_name);
  return found == index_.end() ? nullptr : &layers_[found->second];
}

at::Tensor NativeDirectory::codes(const NativeLayer& layer) const {
  return read_codes(layer, tensors_of(*tensors_), where_of(path_, layer));
}

QuantParameters NativeDirectory::parameters(const NativeLayer& layer) const {
  const QuantParameters parameters = read_parameters(layer, tensors_of(*tensors_));
  check_parameters(layer, parameters, where_of(path_, layer));
  return parameters;
}

std::optional<QuantParameters> NativeDirectory::input_parameters(const NativeLayer& layer) const {
  if (!has_static_input(layer)) return std::nullopt;
  const QuantParameters parameters = read_input_parameters(layer, tensors_of(*tensors_));
  check_input_parameters(layer, parameters, where_of(path_, layer));
  return parameters;
}

at::Tensor NativeDirectory::dequantized(const NativeLayer& layer) const {
  return real_weight(layer, codes(layer), parameters(layer));
}

at::Tensor NativeDirectory::dequantized_rows(const NativeLayer& layer,
                                             const at::Tensor& indices) const {
  const bool is_by_row = has_row_scales(layer.weight.granularity);
  const bool shares_one = std::holds_alternative<PerTensor>(layer.weight.granularity);
  if ((!is_by_row && !shares_one) || indices.numel() == 0)
    return at::index_select(dequantized(layer), 0, indices);
  const auto select = [&](const at::Tensor& all) { return at::index_select(all, 0, indices); };
  QuantParameters parameters = read_parameters(layer, tensors_of(*tensors_));
  if (is_by_row) {
    parameters.scale = select(parameters.scale);
    if (parameters.zero_point.defined()) parameters.zero_point = select(parameters.zero_point);
    if (parameters.choice.defined()) parameters.choice = select(parameters.choice);
    if (parameters.plane_scales.defined())
      parameters.plane_scales = at::index_select(parameters.plane_scales, 1, indices);
  }
  NativeLayer some = layer;
  some.shape[0] = indices.numel();
  const std::string where = where_of(path_, layer);
  check_parameters(some, parameters, where);
  const auto packed = select(tensors_->tensor(codes_name(layer)));
  return real_weight(some, unpack_codes(some, packed, where), parameters);
}

}  // namespace laconic
