#include "laconic/quant/presets/families.h"

namespace laconic {
namespace {

QuantSpec constant(const Format& format, double scale, const Gradient& gradient) {
  return QuantSpec{}.let(format, Scale(ConstantScale{.value = scale}), gradient);
}

const Granularity kBlocks = PerGroup{.axis = 1, .group_size = 32, .pad = true};
const Granularity kLastBlocks = PerGroup{.axis = -1, .group_size = 32, .pad = true};

}  // namespace

std::vector<QuantPreset> sign_presets() {
  const Gradient through = StraightThrough{}, clipped = Clipped{};
  const IntFormat ternary{2, true, true};
  return {{"SignedBinaryWeightPerTensorConst", "binary", constant(BinaryFormat{}, 0.1, through)},
          {"SignedBinaryActPerTensorConst", "binary", constant(BinaryFormat{}, 1, clipped)},
          {"SignedTernaryWeightPerTensorConst", "ternary", constant(ternary, 0.1, through)},
          {"SignedTernaryActPerTensorConst", "ternary", constant(ternary, 1, clipped)}};
}

std::vector<QuantPreset> block_presets() {
  const std::string family = "mx_quant_ocp";
  const QuantSpec floats = QuantSpec{}.let(Format(e4m3()), Gradient(Clipped{}));
  const QuantSpec integers = QuantSpec{}.let(IntFormat{8, true, false});
  const MinMax interval{.include_zero = false};
  const auto weight = [](const QuantSpec& spec) { return spec.let(kBlocks); };
  return {{"MXFloat8e4m3Weight", family, live(weight(floats), AbsMax{}, power_down())},
          {"MXFloat8e4m3Act", family, live(floats.let(kLastBlocks), AbsMax{}, power_down())},
          {"MXFloat8e4m3WeightMSE", family, learned(weight(floats), Mse{}, power_down())},
          {"MXInt8Weight", family, live(weight(integers), AbsMax{}, power_down())},
          {"ShiftedMXUInt8Weight", family, live(shifted(kBlocks), interval, power_down())},
          {"MXInt8Act", family, live(integers.let(kLastBlocks), AbsMax{}, power_down())},
          {"MXInt8WeightMSE", family, learned(weight(integers), Mse{}, power_down())},
          {"ShiftedMXUInt8WeightMSE", family, learned(shifted(kBlocks), Mse{}, power_down())}};
}

std::vector<QuantPreset> no_quantizer_presets() {
  std::vector<QuantPreset> presets;
  for (const char* what : {"Weight", "Act", "Bias", "Trunc", "Clamp"})
    presets.push_back({std::string("None") + what + "Quant", "none", NoQuantizer{}});
  return presets;
}

}  // namespace laconic
