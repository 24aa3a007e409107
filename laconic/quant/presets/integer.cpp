#include "laconic/quant/presets/families.h"

namespace laconic {
namespace {

const Granularity kChannels = PerChannel{.axis = 0};
const Granularity kGroups = PerGroup{.axis = 1, .group_size = 128, .pad = true};
const Granularity kLastGroups = PerGroup{.axis = -1, .group_size = 128, .pad = true};
constexpr const char* kGroupSizeNote = "set the group size";

/// All codes of the larger side are used; powers of two divide by powers of two.
template <typename Kind>
QuantSpec with_scale(const QuantSpec& spec, const Statistic& statistic,
                     const Restriction& restriction) {
  Kind scale;
  scale.statistic = statistic;
  scale.restriction = restriction;
  scale.threshold = std::holds_alternative<PowerOfTwo>(restriction) ? Threshold::kPowerOfTwo
                                                                    : Threshold::kFullRange;
  return spec.let(Scale(scale));
}

/// Found anew for each tensor.
QuantSpec live(const QuantSpec& spec, const Statistic& statistic,
               const Restriction& restriction = AnyFloat{}) {
  return with_scale<StatisticScale>(spec, statistic, restriction);
}

/// Learned, beginning at the statistic.
QuantSpec learned(const QuantSpec& spec, const Statistic& statistic,
                  const Restriction& restriction = AnyFloat{}) {
  return with_scale<LearnedScale>(spec, statistic, restriction).let(Gradient(Clipped{}));
}

Restriction power_up() { return PowerOfTwo{PowerRounding::kCeil}; }

QuantSpec int_weight() { return live(QuantSpec{}.let(IntFormat{8, true, true}), AbsMax{}); }
QuantSpec int_tensor() { return live(QuantSpec{}.let(IntFormat{8, true, false}), AbsMax{}); }

QuantSpec shifted(const Granularity& granularity = PerTensor{}) {
  const QuantSpec spec = QuantSpec{}.let(IntFormat{8, false, false}, granularity);
  return live(spec, MinMax{.include_zero = false}).let(ZeroPoint(IntegerZeroPoint{}));
}

BiasQuantizer bias(int64_t bits) { return {.format = {bits, true, false}}; }

}  // namespace

std::vector<QuantPreset> scaled_integer_presets() {
  const std::string family = "scaled_int";
  const QuantSpec weight = int_weight(), channels = weight.let(kChannels);
  return {{"IntBias", family, bias(32), "set the bit width"},
          {"Int8Bias", family, bias(8)},
          {"Int16Bias", family, bias(16)},
          {"Int24Bias", family, bias(24)},
          {"Int32Bias", family, bias(32)},
          {"Int8BiasPerTensorFloatInternalScaling", family, int_tensor()},
          {"Int8WeightPerTensorFloat", family, weight},
          {"Int8WeightPerTensorFloatMSE", family, learned(weight, Mse{})},
          {"Int8WeightPerChannelFloat", family, channels},
          {"Int8WeightPerChannelFloatMSE", family, learned(channels, Mse{})},
          {"TruncTo8bit", family, Truncation{}},
          {"RoundTo8bit", family, Truncation{.rounding = HalfEven{}}},
          {"ShiftRoundSaturateTo8bit", family, Truncation{.rounding = HalfEven{}},
           "set the shift that shift_for finds for the percentile 99.999"},
          {"Int8WeightPerTensorFloatHQO", family, learned(weight, HalfQuadratic{})},
          {"Int8WeightPerChannelFloatHQO", family, learned(channels, HalfQuadratic{})}};
}

std::vector<QuantPreset> fixed_point_presets() {
  const std::string family = "fixed_point";
  const QuantSpec weight = int_weight(), channels = weight.let(kChannels);
  return {{"Int8WeightPerTensorFixedPoint", family, live(weight, AbsMax{}, power_up())},
          {"Int8WeightPerChannelFixedPoint", family, live(channels, AbsMax{}, power_up())},
          {"Int8WeightPerTensorFixedPointMSE", family, learned(weight, Mse{}, power_up())},
          {"Int8WeightPerChannelFixedPointMSE", family, learned(channels, Mse{}, power_up())},
          {"Int8BiasPerTensorFixedPointInternalScaling", family,
           live(int_tensor(), AbsMax{}, power_up())}};
}

std::vector<QuantPreset> shifted_integer_presets() {
  const std::string family = "shifted_scaled_int";
  const QuantSpec tensor = shifted(), channels = shifted(kChannels);
  return {{"ShiftedUint8WeightPerTensorFloat", family, tensor},
          {"ShiftedUint8WeightPerTensorFloatMSE", family, learned(tensor, Mse{})},
          {"ShiftedUint8WeightPerChannelFloat", family, channels},
          {"ShiftedUint8WeightPerChannelFloatMSE", family, learned(channels, Mse{})},
          {"ShiftedUint8WeightGroupQuantFloat", family, shifted(kGroups), kGroupSizeNote}};
}

std::vector<QuantPreset> no_quantizer_presets() {
  std::vector<QuantPreset> presets;
  for (const char* what : {"Weight", "Act", "Bias", "Trunc", "Clamp"})
    presets.push_back({std::string("None") + what + "Quant", "none", NoQuantizer{}});
  return presets;
}

// What the established library's programs add to its presets.
std::vector<QuantPreset> program_presets() {
  const std::string family = "programs";
  const QuantSpec groups = int_weight().let(kGroups), tensor = int_tensor();
  return {{"IntWeightSymmetricGroupQuant", family, groups, kGroupSizeNote},
          {"IntWeightSymmetricGroupQuantMSE", family, learned(groups, Mse{}), kGroupSizeNote},
          {"Int8DynamicActPerTensorFloat", family, tensor},
          {"ShiftedUint8WeightGroupQuantFloatMSE", family, learned(shifted(kGroups), Mse{}),
           kGroupSizeNote},
          {"Int8DynamicActPerRowFloat", family, tensor.let(PerToken{})},
          {"Int8DynamicActPerRowFixedPoint", family,
           live(tensor.let(PerToken{}), AbsMax{}, power_up())},
          {"Int8DynamicActPerGroupFloat", family, tensor.let(kLastGroups), kGroupSizeNote},
          {"ShiftedUint8DynamicActPerGroupFloat", family, shifted(kLastGroups), kGroupSizeNote},
          {"ShiftedUint8DynamicActPerTensorFloat", family, shifted()},
          {"ShiftedUint8DynamicActPerRowFloat", family, shifted(PerToken{})}};
}

}  // namespace laconic
