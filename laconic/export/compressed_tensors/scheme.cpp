#include "laconic/export/compressed_tensors/scheme.h"

#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>

#include "laconic/kernel/pack.h"
#include "laconic/load/native/stored.h"

namespace laconic {
namespace {

const PerGroup* group_of(const NativeLayer& layer) {
  return std::get_if<PerGroup>(&layer.weight.granularity);
}

// Unsigned codes without a zero point are signed ones with the constant zero point -2^(bits - 1).
bool has_zero_point(const QuantSpec& spec) { return is_asymmetric(spec) || !is_signed(spec); }

// What turns a code into the format's signed code.
int64_t shift(const QuantSpec& spec) {
  return is_signed(spec) ? 0 : int64_t{1} << (bit_width(spec) - 1);
}

std::string group_obstacle(const NativeLayer& layer) {
  const auto* channel = std::get_if<PerChannel>(&layer.weight.granularity);
  if (channel != nullptr && (channel->axis == 1 || channel->axis == -1)) {
    return "has a scale for each input channel: put granularity: channel with axis: 0 into the "
           "recipe";
  }
  if (const auto* own = std::get_if<CustomGranularity>(&layer.weight.granularity)) {
    return "has the granularity " + own->name +
           ", which the format does not know: put granularity: channel or group into the recipe";
  }
  const PerGroup* group = group_of(layer);
  if (group == nullptr) return "";
  if (group->axis != 1 && group->axis != -1)
    return "has groups along the outputs: put axis: 1 into the recipe";
  if (layer.shape[1] % group->group_size == 0) return "";
  return "has rows of " + std::to_string(layer.shape[1]) +
         " weights, which do not split into whole groups of " + std::to_string(group->group_size) +
         ": put a group_size that divides " + std::to_string(layer.shape[1]) + " into the recipe";
}

// Clients find the scale of an input themselves, token by token, or read one for the whole tensor.
std::string input_obstacle(const NativeLayer& layer) {
  const QuantSpec& input = *layer.input;
  const bool integer_zero = std::holds_alternative<NoZeroPoint>(input.zero_point) ||
                            std::holds_alternative<IntegerZeroPoint>(input.zero_point);
  const bool dynamic = std::holds_alternative<StatisticScale>(input.scale) &&
                       std::holds_alternative<PerToken>(input.granularity);
  const bool fixed =
      has_static_input(layer) && std::holds_alternative<PerTensor>(input.granularity);
  const auto* whole = std::get_if<IntFormat>(&input.format);
  const bool whole_range = whole != nullptr && !whole->narrow_range;
  const bool fits = bit_width(input) <= 8 && integer_zero && whole_range && (dynamic || fixed) &&
                    (is_signed(input) || fixed || is_asymmetric(input));
  return fits ? ""
              : "has inputs quantized as " + to_string(input) +
                    ", the format has whole ranges of integers of up to 8 bits, found for each "
                    "token or fixed for the tensor: put granularity: token, or scale: static with "
                    "granularity: tensor, into the recipe's inputs";
}

nlohmann::json weight_arguments(const NativeLayer& layer) {
  nlohmann::json arguments = {{"num_bits", bit_width(layer.weight)},
                              {"type", "int"},
                              {"strategy", "channel"},
                              {"symmetric", !has_zero_point(layer.weight)},
                              {"dynamic", false}};
  if (const PerGroup* group = group_of(layer)) {
    arguments["strategy"] = "group";
    arguments["group_size"] = group->group_size;
  }
  return arguments;
}

nlohmann::json input_arguments(const NativeLayer& layer) {
  const bool fixed = has_static_input(layer);
  return {{"num_bits", bit_width(*layer.input)},
          {"type", "int"},
          {"strategy", fixed ? "tensor" : "token"},
          {"symmetric", !has_zero_point(*layer.input)},
          {"dynamic", !fixed}};
}

// A static input's scale, and its zero point in the format's signed codes: [1] each.
void add_input(const NativeDirectory& model, const NativeLayer& layer,
               std::vector<std::pair<std::string, at::Tensor>>& tensors) {
  const auto parameters = model.input_parameters(layer);
  if (!parameters) return;
  tensors.emplace_back(layer.name + ".input_scale", parameters->scale.to(at::kFloat).reshape({1}));
  if (!has_zero_point(*layer.input)) return;
  const auto zero = parameters->zero_point.defined() ? parameters->zero_point.to(at::kFloat)
                                                     : at::zeros({}, at::kFloat);
  tensors.emplace_back(layer.name + ".input_zero_point",
                       (zero - shift(*layer.input)).to(at::kChar).reshape({1}));
}

// [out, groups], one group for a channel; a single scale is repeated.
at::Tensor as_columns(const NativeLayer& layer, const at::Tensor& parameter) {
  if (group_of(layer) != nullptr) return parameter.squeeze(2).contiguous();
  return parameter.expand({layer.shape[0], 1}).contiguous();
}

// In the format's signed codes, int32 [out, groups].
at::Tensor zero_points(const NativeLayer& layer, const QuantParameters& parameters) {
  if (!parameters.zero_point.defined()) {
    const int64_t groups = as_columns(layer, parameters.scale).size(1);
    return at::full({layer.shape[0], groups}, -shift(layer.weight), at::kInt);
  }
  const auto zero = as_columns(layer, parameters.zero_point.to(at::kFloat));
  TORCH_CHECK_VALUE(zero.round().equal(zero), "[compressed-tensors] layer ", layer.name,
                    ": expected whole zero points, as its spec says, got others. Quantize again.");
  const auto shifted = zero.to(at::kInt) - shift(layer.weight);
  const int64_t half = int64_t{1} << (bit_width(layer.weight) - 1);
  TORCH_CHECK_VALUE(shifted.min().item<int64_t>() >= -half && shifted.max().item<int64_t>() < half,
                    "[compressed-tensors] layer ", layer.name,
                    ": expected zero points in the range of the codes, got others.");
  return shifted;
}

}  // namespace

std::vector<std::string> scheme_obstacles(const NativeLayer& layer) {
  std::vector<std::string> found;
  if (!std::holds_alternative<IntFormat>(layer.weight.format)) {
    found.push_back("has codes of the format " + describe(layer.weight.format) +
                    ", this export writes integers: put format: int into the recipe");
  }
  if (layer.transposed) {
    found.emplace_back(
        "is stored [in, out] (a Conv1D, not a Linear), which clients of compressed-tensors do not "
        "decompress. The nearest format that works is gguf (where the activation is a GELU)");
  }
  const bool integer_zero = std::holds_alternative<NoZeroPoint>(layer.weight.zero_point) ||
                            std::holds_alternative<IntegerZeroPoint>(layer.weight.zero_point);
  const std::string zero =
      integer_zero
          ? ""
          : "has a zero point that is no code: put zero_point: integer or none into the recipe";
  const std::string input = layer.input ? input_obstacle(layer) : "";
  for (const std::string& reason : {group_obstacle(layer), zero, input}) {
    if (!reason.empty()) found.push_back(reason);
  }
  return found;
}

std::string layer_format(const NativeLayer& layer) {
  const bool plain = layer.input && group_of(layer) == nullptr && bit_width(layer.weight) == 8;
  return plain ? "int-quantized" : "pack-quantized";
}

nlohmann::json layer_scheme(const NativeLayer& layer) {
  return {{"format", layer_format(layer)},
          {"weights", weight_arguments(layer)},
          {"input_activations", layer.input ? input_arguments(layer) : nlohmann::json()},
          {"output_activations", nullptr}};
}

uint64_t compressed_bytes(const NativeLayer& layer) {
  const auto rows = static_cast<uint64_t>(layer.shape[0]),
             columns = static_cast<uint64_t>(layer.shape[1]);
  return rows * (columns + 64);  // an upper bound is enough to split shards
}

std::vector<std::pair<std::string, at::Tensor>> compressed_layer(const NativeDirectory& model,
                                                                 const NativeLayer& layer) {
  const int64_t bits = bit_width(layer.weight), half = int64_t{1} << (bits - 1);
  const auto parameters = model.parameters(layer);
  const auto codes = model.codes(layer).to(at::kShort) - shift(layer.weight);  // signed
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  add_input(model, layer, tensors);
  const auto scale = as_columns(layer, parameters.scale.to(at::kFloat));
  if (layer_format(layer) == "int-quantized") {
    tensors.emplace_back(layer.name + ".weight", codes.to(at::kChar));
    tensors.emplace_back(layer.name + ".weight_scale", scale);
    if (has_zero_point(layer.weight)) {
      tensors.emplace_back(layer.name + ".weight_zero_point",
                           zero_points(layer, parameters).to(at::kChar));
    }
    return tensors;
  }
  tensors.emplace_back(layer.name + ".weight_packed",
                       pack_rows_to_words((codes + half).to(at::kByte), bits));
  tensors.emplace_back(layer.name + ".weight_scale", scale);
  tensors.emplace_back(layer.name + ".weight_shape", at::tensor(layer.shape, at::kLong));
  if (has_zero_point(layer.weight)) {
    // Packed along the outputs.
    const auto unsigned_zero =
        (zero_points(layer, parameters) + half).to(at::kByte).t().contiguous();
    const auto packed = pack_rows_to_words(unsigned_zero, bits).t().contiguous();
    tensors.emplace_back(layer.name + ".weight_zero_point", packed);
  }
  return tensors;
}

}  // namespace laconic
