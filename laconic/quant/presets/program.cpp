#include "laconic/quant/presets/families.h"

namespace laconic {
namespace {

const Granularity kGroups = PerGroup{.axis = 1, .group_size = 128, .pad = true};
const Granularity kLastGroups = PerGroup{.axis = -1, .group_size = 128, .pad = true};

QuantSpec float_spec(const MinifloatFormat& format, const Granularity& granularity = PerTensor{}) {
  return QuantSpec{}.let(Format(format), granularity, Gradient(Clipped{}));
}

std::vector<QuantPreset> weight_presets(const std::string& family) {
  const QuantSpec groups = int_weight().let(kGroups), shifted_groups = shifted(kGroups);
  const MinifloatFormat plain{};
  return {{"IntWeightSymmetricGroupQuant", family, groups, kGroupSizeNote},
          {"IntWeightSymmetricGroupQuantMSE", family, learned(groups, Mse{}), kGroupSizeNote},
          {"Fp8e4m3WeightSymmetricGroupQuant", family, live(float_spec(plain, kGroups), AbsMax{}),
           kGroupSizeNote},
          {"ShiftedUint8WeightGroupQuantFloatMSE", family, learned(shifted_groups, Mse{}),
           kGroupSizeNote},
          {"Fp8e4m3OCPWeightSymmetricGroupQuant", family,
           live(float_spec(e4m3(), kGroups), AbsMax{}), kGroupSizeNote},
          {"Fp8e4m3OCPWeightPerChannelFixedPointMSE", family,
           learned(float_spec(e4m3(), kChannels), Mse{}, power_up())}};
}

std::vector<QuantPreset> activation_presets(const std::string& family) {
  const QuantSpec int8 = QuantSpec{}.let(IntFormat{8, true, false});
  const MinifloatFormat plain{};
  const auto integers = [&](const Granularity& granularity) {
    return live(int8.let(granularity), AbsMax{});
  };
  const auto floats = [&](const MinifloatFormat& format, const Granularity& granularity) {
    return live(float_spec(format, granularity), AbsMax{});
  };
  return {
      {"Int8DynamicActPerTensorFloat", family, integers(PerTensor{})},
      {"Fp8e4m3FNUZDynamicActPerTensorFloat", family, floats(e4m3_fnuz(), PerTensor{})},
      {"Fp8e4m3OCPDynamicActPerTensorFloat", family, floats(e4m3(), PerTensor{})},
      {"Int8DynamicActPerRowFloat", family, integers(PerToken{})},
      {"Int8DynamicActPerRowFixedPoint", family, live(int8.let(PerToken{}), AbsMax{}, power_up())},
      {"Int8DynamicActPerGroupFloat", family, integers(kLastGroups), kGroupSizeNote},
      {"ShiftedUint8DynamicActPerGroupFloat", family,
       shifted(kLastGroups).let(ZeroPoint(FloatZeroPoint{})), kGroupSizeNote},
      {"ShiftedUint8DynamicActPerTensorFloat", family, shifted()},
      {"ShiftedUint8DynamicActPerRowFloat", family, shifted(PerToken{})},
      {"Fp8e4m3DynamicActPerGroupFloat", family, floats(plain, kLastGroups), kGroupSizeNote},
      {"FP8e4m3OCPDynamicActPerRowFixedPoint", family,
       live(float_spec(e4m3(), PerToken{}), AbsMax{}, power_up())},
      {"FP8e4m3OCPDynamicActPerRowFloat", family, floats(e4m3(), PerToken{})},
      {"Fp8e4m3OCPDynamicActPerGroupFloat", family, floats(e4m3(), kLastGroups), kGroupSizeNote},
      {"FP8e4m3FNUZDynamicActPerRowFloat", family, floats(e4m3_fnuz(), PerToken{})}};
}

}  // namespace

// What the established library's programs add to its presets.
std::vector<QuantPreset> program_presets() {
  std::vector<QuantPreset> presets = weight_presets("programs");
  const auto activations = activation_presets("programs");
  presets.insert(presets.end(), activations.begin(), activations.end());
  return presets;
}

}  // namespace laconic
