#include "laconic/export/gguf/storage.h"

#include <c10/util/Exception.h>

#include "laconic/base/text.h"
#include "laconic/export/gguf/super_block_storage.h"
#include "laconic/file/gguf/block.h"
#include "laconic/load/native/stored.h"

namespace laconic {
namespace {

constexpr int64_t kLength = 32;

bool is_half(const at::Tensor& values) {
  return values.to(at::kHalf).to(values.scalar_type()).equal(values);
}

// Sentence about the granularity, empty when 32 consecutive weights of a row share their scale.
std::string granularity_obstacle(const NativeLayer& layer) {
  const auto* channel = std::get_if<PerChannel>(&layer.weight.granularity);
  const auto* group = std::get_if<PerGroup>(&layer.weight.granularity);
  if (channel != nullptr && (channel->axis == 1 || channel->axis == -1)) {
    return "has a scale for each input channel, GGUF has one for 32 weights of a row: put "
           "granularity: channel with axis: 0, "
           "or group with group_size: 32, into the recipe";
  }
  if (const auto* own = std::get_if<CustomGranularity>(&layer.weight.granularity)) {
    return "has the granularity " + own->name +
           ", which GGUF does not know: put granularity: channel, or group with group_size: 32, "
           "into the recipe";
  }
  if (group == nullptr) return "";
  if (group->axis != 1 && group->axis != -1) {
    return "has groups along axis " + std::to_string(group->axis) +
           ", GGUF has them along the input: put axis: 1 into the recipe";
  }
  if (group->group_size % kLength == 0) return "";
  return "has groups of " + std::to_string(group->group_size) +
         ", GGUF stores a scale for 32 weights: put group_size: 32 or a multiple of it into the "
         "recipe";
}

std::string zero_point_obstacle(const QuantSpec& spec) {
  const int64_t bits = bit_width(spec);
  if (std::holds_alternative<NoZeroPoint>(spec.zero_point)) {
    return bits < 8 || is_signed(spec) ? ""
                                       : "has unsigned 8-bit codes without a zero point, Q8_0 is "
                                         "signed: put signed: true into the recipe";
  }
  if (std::holds_alternative<IntegerZeroPoint>(spec.zero_point)) {
    return bits < 8 ? ""
                    : "is asymmetric with 8 bits, GGUF's 8-bit blocks are symmetric: put "
                      "zero_point: none into the recipe";
  }
  if (std::holds_alternative<StoredMinimum>(spec.zero_point)) {
    return bits <= 5 ? ""
                     : "has a stored minimum with " + std::to_string(bits) +
                           " bits, GGUF has it for 4 and 5: put bits: 4 into the recipe";
  }
  return "has a zero point that GGUF cannot hold: put zero_point: stored_minimum, integer or none "
         "into the recipe";
}

// The preset that is made for GGUF and nearest to the spec.
std::string nearest_recipe(const QuantSpec& spec) {
  if (bit_width(spec) > 4) return "gguf-q8_0";
  return is_asymmetric(spec) ? "gguf-q4_1" : "gguf-q4_0-gptq";
}

// [out, in / 32]
at::Tensor block_values(const NativeLayer& layer, const at::Tensor& parameter) {
  const int64_t rows = layer.shape[0], blocks = layer.shape[1] / kLength;
  const auto* group = std::get_if<PerGroup>(&layer.weight.granularity);
  if (group == nullptr) return parameter.to(at::kFloat).expand({rows, blocks});
  return parameter.to(at::kFloat)
      .squeeze(2)
      .repeat_interleave(group->group_size / kLength, 1)
      .narrow(1, 0, blocks);
}

// q and, for types that have one, the minimum behind value = scale * q + minimum.
struct Blocks {
  at::Tensor q, scale, minimum;
};

Blocks read_blocks(const NativeDirectory& model, const NativeLayer& layer, bool has_minimum) {
  const auto parameters = model.parameters(layer);
  const auto q_min = static_cast<double>(code_range(layer.weight.format).q_min);
  Blocks blocks;
  blocks.scale = block_values(layer, parameters.scale);
  auto codes = model.codes(layer).to(at::kShort);
  if (has_minimum) {
    const bool stored = std::holds_alternative<StoredMinimum>(layer.weight.zero_point);
    const auto minimum = stored ? stored_minimum(layer.weight, parameters)
                                : (parameters.zero_point.to(at::kFloat) - q_min).neg() *
                                      parameters.scale.to(at::kFloat);
    blocks.minimum = block_values(layer, minimum);
    blocks.q = codes.sub_(static_cast<int64_t>(q_min));
  } else {
    if (parameters.zero_point.defined()) {
      codes.sub_(
          spread(parameters.zero_point, layer.shape, layer.weight.granularity).to(at::kShort));
    }
    blocks.q = codes;
  }
  return blocks;
}

bool holds(GgufType type, const at::Tensor& q) {
  const auto [low, high] = block_range(type);
  return q.min().item<int64_t>() >= low && q.max().item<int64_t>() <= high;
}

}  // namespace

std::vector<std::string> block_obstacles(const NativeLayer& layer) {
  if (is_for_super_blocks(layer)) return super_block_obstacles(layer);
  std::vector<std::string> found;
  if (layer.shape[1] % kLength != 0) {
    found.push_back("has rows of " + std::to_string(layer.shape[1]) +
                    " weights, GGUF stores blocks of 32: leave the layer out (skip: true in a rule "
                    "of its own)");
  }
  if (!scale_is_half(layer.weight.scale)) {
    found.push_back("has scales of any float (" + to_string(layer.weight) +
                    "), GGUF stores float16: use the recipe " + nearest_recipe(layer.weight) +
                    ", or put restriction: stored_as with stored_dtype: float16 into yours");
  }
  for (const std::string& reason :
       {granularity_obstacle(layer), zero_point_obstacle(layer.weight)}) {
    if (!reason.empty()) found.push_back(reason);
  }
  return found;
}

GgufType block_type(const NativeDirectory& model, const NativeLayer& layer) {
  if (is_for_super_blocks(layer)) return *super_block_type(layer);
  const auto parameters = model.parameters(layer);
  TORCH_CHECK_VALUE(
      is_half(parameters.scale), "[gguf] layer ", layer.name,
      ": expected scales that float16 holds, as its spec says, got others. Quantize again.");
  const int64_t bits = bit_width(layer.weight);
  if (std::holds_alternative<StoredMinimum>(layer.weight.zero_point))
    return bits <= 4 ? GgufType::Q4_1 : GgufType::Q5_1;
  const auto q = read_blocks(model, layer, false).q;
  if (holds(GgufType::Q4_0, q)) return GgufType::Q4_0;
  const bool has_zero = parameters.zero_point.defined();
  const bool exact = has_zero && is_half(read_blocks(model, layer, true).minimum);
  if (exact && bits <= 4) return GgufType::Q4_1;
  if (holds(GgufType::Q5_0, q)) return GgufType::Q5_0;
  if (exact && bits <= 5) return GgufType::Q5_1;
  return GgufType::Q8_0;
}

at::Tensor block_rows(const NativeDirectory& model, const NativeLayer& layer, GgufType type,
                      RowOrder order, const GgufNetwork& network) {
  if (find_super_block(type) != nullptr)
    return super_block_rows(model, layer, type, order, network);
  const bool has_minimum = type == GgufType::Q4_1 || type == GgufType::Q5_1;
  const Blocks blocks = read_blocks(model, layer, has_minimum);
  const auto half = [&](const at::Tensor& values) {
    return reordered(values, order, network).to(at::kHalf);
  };
  return pack_blocks(type, reordered(blocks.q, order, network), half(blocks.scale),
                     has_minimum ? half(blocks.minimum) : at::Tensor());
}

GgufType float_type(const std::string& name, const at::Tensor& tensor, GgufPrecision precision) {
  TORCH_CHECK_VALUE(tensor.isfinite().all().item<bool>(), "[gguf] tensor ", name,
                    ": expected finite numbers, got NaN or infinity. The checkpoint is damaged.");
  const bool is_matrix = tensor.dim() > 1 && name != "position_embd.weight";
  if (!is_matrix || precision == GgufPrecision::kF32) return GgufType::F32;
  if (precision == GgufPrecision::kF16) {
    TORCH_CHECK_VALUE(
        tensor.to(at::kHalf).isfinite().all().item<bool>(), "[gguf] tensor ", name,
        ": a number is beyond what float16 holds (65504). Export as gguf or gguf-f32.");
    return GgufType::F16;
  }
  if (is_half(tensor)) return GgufType::F16;
  const bool is_brain = tensor.to(at::kBFloat16).to(tensor.scalar_type()).equal(tensor);
  return is_brain ? GgufType::BF16 : GgufType::F32;
}

}  // namespace laconic
