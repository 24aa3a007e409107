#include "laconic/export/gguf/super_block_storage.h"

#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "laconic/load/native/stored.h"

namespace laconic {
namespace {

constexpr std::array kSymmetricSupers = {GgufType::Q3_K, GgufType::Q6_K};
constexpr std::array kMinimumSupers = {GgufType::Q2_K, GgufType::Q4_K, GgufType::Q5_K};
// A zero point is minimum / scale in float32: their product is off by this at most.
constexpr double kMinimumTolerance = 0x1p-21;

const QuantizedBy* scale_quantizer(const QuantSpec& spec) {
  // Of what `statistic_of` returns only a copy is at hand; the restriction lives in the spec.
  const auto* scale = std::get_if<StatisticScale>(&spec.scale);
  return scale == nullptr ? nullptr : std::get_if<QuantizedBy>(&scale->restriction);
}

bool is_power_of_two(const QuantSpec& spec) {
  const auto* scale = std::get_if<StatisticScale>(&spec.scale);
  if (scale == nullptr) return false;
  if (std::holds_alternative<PowerOfTwo>(scale->restriction)) return true;
  const auto* by = std::get_if<QuantizedBy>(&scale->restriction);
  return by != nullptr && by->quantizer->format == Format(e8m0()) &&
         by->quantizer->scale == Scale(ConstantScale{});
}

// Scales in e4m3, themselves under one float for the tensor or none.
bool is_nvfp4(const QuantSpec& spec) {
  const QuantizedBy* by = scale_quantizer(spec);
  return spec.format == Format(e2m1()) && by != nullptr &&
         by->quantizer->format == Format(e4m3()) &&
         std::holds_alternative<PerTensor>(by->quantizer->granularity) &&
         std::holds_alternative<NoZeroPoint>(by->quantizer->zero_point);
}

// Consecutive weights of a row that share a scale; 0: not along the row.
int64_t shared_weights(const NativeLayer& layer) {
  const Granularity& granularity = layer.weight.granularity;
  if (std::holds_alternative<PerTensor>(granularity)) return layer.shape[1];
  if (const auto* channel = std::get_if<PerChannel>(&granularity))
    return channel->axis == 0 || channel->axis == -2 ? layer.shape[1] : 0;
  const auto* group = std::get_if<PerGroup>(&granularity);
  return group != nullptr && (group->axis == 1 || group->axis == -1) ? group->group_size : 0;
}

// Whether integers under float16s, which super-blocks of 256 weights do not straddle.
bool are_units(const QuantSpec& quantizer, int64_t group) {
  if (!std::holds_alternative<IntFormat>(quantizer.format) || !scale_is_half(quantizer.scale) ||
      !std::holds_alternative<NoZeroPoint>(quantizer.zero_point))
    return false;
  const auto* runs = std::get_if<PerGroup>(&quantizer.granularity);
  return runs == nullptr ||
         ((runs->axis == 1 || runs->axis == -1) && runs->group_size * group % 256 == 0);
}

bool fits(const SuperBlockShape& shape, const NativeLayer& layer) {
  const auto codes = code_range(layer.weight.format);
  const int64_t group = shared_weights(layer);
  const QuantSpec& scales = *scale_quantizer(layer.weight)->quantizer;
  const auto* minimum = std::get_if<QuantizedMinimum>(&layer.weight.zero_point);
  return codes.q_min >= shape.q_min && codes.q_max <= shape.q_max && group > 0 &&
         group % shape.group == 0 && code_range(scales.format).q_max <= shape.scale_max &&
         are_units(scales, group) &&
         (minimum == nullptr ||
          (are_units(*minimum->quantizer, group) &&
           code_range(minimum->quantizer->format).q_max <= shape.minimum_max));
}

template <size_t kCount>
std::optional<GgufType> first_fit(const std::array<GgufType, kCount>& types,
                                  const NativeLayer& layer) {
  for (const GgufType type : types)
    if (fits(*find_super_block(type), layer)) return type;
  return std::nullopt;
}

std::optional<GgufType> hierarchical_type(const NativeLayer& layer) {
  if (scale_quantizer(layer.weight) == nullptr ||
      !std::holds_alternative<IntFormat>(layer.weight.format))
    return std::nullopt;
  if (std::holds_alternative<QuantizedMinimum>(layer.weight.zero_point))
    return first_fit(kMinimumSupers, layer);
  if (std::holds_alternative<NoZeroPoint>(layer.weight.zero_point))
    return first_fit(kSymmetricSupers, layer);
  return std::nullopt;
}

bool is_table(const QuantSpec& spec) {
  const auto* table = std::get_if<TableFormat>(&spec.format);
  return table != nullptr && table->values == table_of(GgufType::IQ4_NL);
}

// Codes -1, 0, 1 of two bits.
bool is_narrow(const QuantSpec& spec) {
  const auto* format = std::get_if<IntFormat>(&spec.format);
  return format != nullptr && code_range(*format).q_min == -1 && code_range(*format).q_max == 1;
}

std::optional<GgufType> plain_type(const NativeLayer& layer) {
  const QuantSpec& spec = layer.weight;
  const int64_t group = shared_weights(layer);
  if (group == 0 || !std::holds_alternative<NoZeroPoint>(spec.zero_point)) return std::nullopt;
  if (spec.format == Format(e2m1()) && group % 32 == 0 && is_power_of_two(spec))
    return GgufType::MXFP4;
  if (is_nvfp4(spec) && group % 16 == 0) return GgufType::NVFP4;
  if (!scale_is_half(spec.scale)) return std::nullopt;
  if (is_table(spec) && group % 32 == 0) return GgufType::IQ4_NL;
  if (group % 256 != 0) return std::nullopt;
  if (std::holds_alternative<TernaryFormat>(spec.format)) return GgufType::TQ1_0;
  if (is_narrow(spec)) return GgufType::TQ2_0;
  return std::nullopt;
}

std::string missing_type(const NativeLayer& layer) {
  const std::string has = "has " + to_string(layer.weight) + ", which no block of GGUF holds: ";
  if (std::holds_alternative<TernaryFormat>(layer.weight.format))
    return has +
           "TQ1_0 has one float16 scale for 256 weights; put granularity: group, group_size: "
           "256, restriction: stored_as and stored_dtype: float16 into the recipe";
  if (std::holds_alternative<MinifloatFormat>(layer.weight.format))
    return has +
           "MXFP4 has e2m1 under a power of two for 32 weights, NVFP4 under e4m3 for 16; use the "
           "recipe gguf-mxfp4 or gguf-nvfp4";
  if (std::holds_alternative<TableFormat>(layer.weight.format))
    return has + "IQ4_NL has a table of its own; use the recipe gguf-iq4_nl";
  return has +
         "Q2_K, Q3_K, Q4_K, Q5_K and Q6_K have scales of at most 4, 6, 6, 6 and 8 bits for "
         "16, 16, 32, 32 and 16 weights under a float16 for 256; use a recipe gguf-q*_k";
}

// [rows, n / length]
at::Tensor spread_groups(const NativeLayer& layer, const at::Tensor& values, int64_t length) {
  const int64_t rows = layer.shape[0], blocks = layer.shape[1] / length;
  const auto wide = values.to(at::kFloat);
  if (!std::holds_alternative<PerGroup>(layer.weight.granularity))
    return wide.expand({rows, blocks});
  return wide.squeeze(2).repeat_interleave(shared_weights(layer) / length, 1);
}

// Of one run; false when no float16 has these multiples.
bool find_unit(const float* values, int64_t run, const UnitCodes& found, int64_t at, int64_t most,
               double tolerance) {
  auto* codes = found.codes.mutable_data_ptr<int16_t>() + at * run;
  auto& unit = found.unit.mutable_data_ptr<at::Half>()[at];
  double largest = 0;
  for (int64_t j = 0; j < run; ++j) largest = std::max(largest, std::abs(double{values[j]}));
  const auto is_multiple = [&](int64_t j, double step) {
    const double code = step > 0 ? std::round(values[j] / step) : 0;
    codes[j] = static_cast<int16_t>(code);
    return std::abs(code) <= static_cast<double>(most) &&
           std::abs(code * step - values[j]) <= tolerance * std::abs(values[j]);
  };
  for (int64_t code = largest > 0 ? most : 1; code > 0; --code) {
    unit = static_cast<at::Half>(static_cast<float>(largest / static_cast<double>(code)));
    int64_t j = 0;
    while (j < run && is_multiple(j, double{static_cast<float>(unit)})) ++j;
    if (j == run) return true;
  }
  return false;
}

class SuperBlockRows {
 public:
  SuperBlockRows(const NativeDirectory& model, const NativeLayer& layer, GgufType type)
      : layer_(layer), shape_(*find_super_block(type)), parameters_(model.parameters(layer)) {
    blocks_.q = model.codes(layer).to(at::kShort);
    if (std::holds_alternative<TernaryFormat>(layer.weight.format)) blocks_.q.sub_(1);
    if (type == GgufType::MXFP4)
      put_exponents();
    else if (type == GgufType::NVFP4)
      blocks_.scale = find_tensor_scale(model, layer).codes;
    else if (shape_.scale_max > 0)
      put_units();
    else
      blocks_.unit = spread_groups(layer, parameters_.scale, shape_.length).to(at::kHalf);
  }

  SuperBlocks in_order(RowOrder order, const GgufNetwork& network) const {
    const auto moved = [&](const at::Tensor& values) {
      return values.defined() ? reordered(values, order, network) : values;
    };
    return {moved(blocks_.q), moved(blocks_.scale), moved(blocks_.minimum), moved(blocks_.unit),
            moved(blocks_.minimum_unit)};
  }

 private:
  UnitCodes units_of(const at::Tensor& values, int64_t most, double tolerance, const char* what) {
    auto found = find_units(spread_groups(layer_, values, shape_.group),
                            shape_.length / shape_.group, most, tolerance);
    TORCH_CHECK_VALUE(found.has_value(), "[gguf] layer ", layer_.name, ": expected ", what,
                      " that are multiples of a float16 for ", shape_.length,
                      " weights, as its spec says, got others. Quantize again.");
    return *found;
  }

  void put_units() {
    const auto scales = units_of(parameters_.scale, shape_.scale_max, 0, "scales");
    blocks_.scale = scales.codes, blocks_.unit = scales.unit;
    if (shape_.minimum_max == 0) return;
    const auto minima =
        units_of(parameters_.zero_point.to(at::kFloat) * parameters_.scale.to(at::kFloat),
                 shape_.minimum_max, kMinimumTolerance, "minima");
    blocks_.minimum = minima.codes, blocks_.minimum_unit = minima.unit;
  }

  void put_exponents() {
    const auto scale = spread_groups(layer_, parameters_.scale, shape_.length);
    const auto exponent = scale.log2().round();
    TORCH_CHECK_VALUE(exponent.exp2().equal(scale), "[gguf] layer ", layer_.name,
                      ": expected powers of two as scales, as its spec says, got others. Quantize "
                      "again.");
    blocks_.unit = (exponent + 127).clamp(0, 254).to(at::kByte);
  }

  const NativeLayer& layer_;
  const SuperBlockShape& shape_;
  QuantParameters parameters_;
  SuperBlocks blocks_;
};

}  // namespace

bool scale_is_half(const Scale& scale) {
  const auto restricted = [](const Restriction& restriction) {
    const auto* stored = std::get_if<StoredAs>(&restriction);
    return stored != nullptr && stored->dtype == at::kHalf;
  };
  if (const auto statistic = statistic_of(scale)) return restricted(statistic->restriction);
  if (const auto* constant = std::get_if<ConstantScale>(&scale)) {
    return static_cast<double>(static_cast<float>(
               static_cast<at::Half>(static_cast<float>(constant->value)))) == constant->value;
  }
  return false;
}

bool is_for_super_blocks(const NativeLayer& layer) {
  const bool has_integers = std::holds_alternative<IntFormat>(layer.weight.format);
  if (!has_integers || scale_quantizer(layer.weight) != nullptr ||
      std::holds_alternative<QuantizedMinimum>(layer.weight.zero_point))
    return true;
  return layer.shape[1] % 256 == 0 && super_block_type(layer).has_value();
}

std::optional<GgufType> super_block_type(const NativeLayer& layer) {
  if (const auto type = hierarchical_type(layer)) return type;
  return plain_type(layer);
}

std::vector<std::string> super_block_obstacles(const NativeLayer& layer) {
  const auto type = super_block_type(layer);
  if (!type) return {missing_type(layer)};
  const GgufBlock& block = block_of(*type);
  if (layer.shape[1] % block.length == 0) return {};
  return {"has rows of " + std::to_string(layer.shape[1]) + " weights, GGUF's " + block.name +
          " stores blocks of " + std::to_string(block.length) +
          ": give it a rule of its own with the weight of gguf-q4_0 or gguf-q8_0 (groups of 32), "
          "or skip: true"};
}

TensorScale find_tensor_scale(const NativeDirectory& model, const NativeLayer& layer) {
  const auto scale =
      spread_groups(layer, model.parameters(layer).scale, find_super_block(GgufType::NVFP4)->group);
  // The largest is the largest e4m3 times the float, rounded; a constant float is 1.
  constexpr float kLargest = 448;
  const float guess = scale.max().item<float>() / kLargest;
  for (const float unit : {1.F, guess, std::nextafter(guess, 0.F), std::nextafter(guess, 1e30F)}) {
    const auto codes = (scale / unit).clamp_max(kLargest).to(at::kFloat8_e4m3fn);
    if ((codes.to(at::kFloat) * unit).equal(scale))
      return {unit, codes.view(at::kByte).to(at::kShort)};
  }
  TORCH_CHECK_VALUE(false, "[gguf] layer ", layer.name,
                    ": expected scales that are e4m3 times one float, as its spec says, got "
                    "others. Quantize again.");
}

std::optional<UnitCodes> find_units(const at::Tensor& values, int64_t run, int64_t most,
                                    double tolerance) {
  const auto given = values.to(at::kFloat).contiguous();
  const int64_t runs = given.size(1) / run;
  UnitCodes found{at::empty(given.sizes(), at::kShort),
                  at::empty({given.size(0), runs}, at::kHalf)};
  const float* first = given.const_data_ptr<float>();
  for (int64_t i = 0; i < given.size(0) * runs; ++i)
    if (!find_unit(first + i * run, run, found, i, most, tolerance)) return std::nullopt;
  return found;
}

at::Tensor super_block_rows(const NativeDirectory& model, const NativeLayer& layer, GgufType type,
                            RowOrder order, const GgufNetwork& network) {
  return pack_super_blocks(type, SuperBlockRows(model, layer, type).in_order(order, network));
}

}  // namespace laconic
