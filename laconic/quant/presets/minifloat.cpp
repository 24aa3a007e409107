#include "laconic/quant/presets/families.h"

namespace laconic {
namespace {

const Granularity kImageChannels = PerChannel{.axis = 1};

/// Which of the names below a format has.
struct FloatPresets {
  std::string prefix, family;
  MinifloatFormat format;
  const char* note = "";
};

/// The presets of a format by the ends of their names; `all` also the activations per channel.
struct FloatSpecs {
  QuantSpec plain, weight, channels, act, image;
};

FloatSpecs specs_of(const MinifloatFormat& format) {
  const QuantSpec base = QuantSpec{}.let(Format(format), Gradient(Clipped{}));
  const QuantSpec image = base.let(kImageChannels);
  return {base.let(Scale(ConstantScale{})), live(base, AbsMax{}),
          live(base.let(kChannels), AbsMax{}), collected(base, AbsMax{}),
          collected(image, AbsMax{})};
}

PresetQuantizer spec_named(const FloatSpecs& specs, const std::string& end) {
  if (end == "Weight" || end == "Act") return specs.plain;
  if (end == "WeightPerTensorFloat") return specs.weight;
  if (end == "WeightPerChannelFloat") return specs.channels;
  if (end == "ActPerTensorFloat") return specs.act;
  if (end == "ActPerChannelFloat2d") return specs.image;
  if (end == "ActPerTensorFloatMSE") return collected(specs.act, Mse{});
  if (end == "ActPerChannelFloat2dMSE") return collected(specs.image, Mse{});
  if (end == "WeightPerChannelFloatMSE") return learned(specs.channels, Mse{});
  return learned(specs.weight, Mse{});
}

void add(std::vector<QuantPreset>& presets, const FloatPresets& of,
         const std::vector<std::string>& ends) {
  const FloatSpecs specs = specs_of(of.format);
  for (const std::string& end : ends)
    presets.push_back({of.prefix + end, of.family, spec_named(specs, end), of.note});
}

const std::vector<std::string>& ends_of_any_format() {
  static const std::vector<std::string> ends = {"Weight",
                                                "Act",
                                                "WeightPerTensorFloat",
                                                "ActPerTensorFloat",
                                                "WeightPerChannelFloat",
                                                "ActPerChannelFloat2d",
                                                "ActPerTensorFloatMSE",
                                                "ActPerChannelFloat2dMSE",
                                                "WeightPerChannelFloatMSE",
                                                "WeightPerTensorFloatMSE"};
  return ends;
}

const std::vector<std::string>& ends_of_one_format() {
  static const std::vector<std::string> ends = {"Weight",
                                                "Act",
                                                "WeightPerTensorFloat",
                                                "WeightPerChannelFloat",
                                                "ActPerTensorFloat",
                                                "ActPerTensorFloatMSE",
                                                "WeightPerTensorFloatMSE",
                                                "WeightPerChannelFloatMSE"};
  return ends;
}

std::vector<QuantPreset> standard(const std::string& word, const std::string& family,
                                  const MinifloatFormat& e4m3, const MinifloatFormat& e5m2) {
  std::vector<QuantPreset> presets;
  add(presets, {"Fp" + word, family, e4m3, "any minifloat: set the format"}, ends_of_any_format());
  add(presets, {"Fp8e4m3" + word, family, e4m3}, ends_of_one_format());
  add(presets, {"Fp8e5m2" + word, family, e5m2}, ends_of_one_format());
  return presets;
}

MinifloatFormat plain(int64_t exponent_bits, int64_t mantissa_bits) {
  MinifloatFormat format;
  format.exponent_bits = exponent_bits;
  format.mantissa_bits = mantissa_bits;
  return format;
}

}  // namespace

std::vector<QuantPreset> plain_float_presets() {
  std::vector<QuantPreset> presets;
  const FloatPresets four{"Fp8e4m3", "float", plain(4, 3)}, five{"Fp8e5m2", "float", plain(5, 2)};
  for (const char* end :
       {"Weight", "Act", "WeightPerTensorFloat", "ActPerTensorFloat", "WeightPerChannelFloat",
        "ActPerChannelFloat2d", "ActPerTensorFloatMSE", "ActPerChannelFloat2dMSE"}) {
    add(presets, four, {end});
    add(presets, five, {end});
  }
  add(presets, four, {"WeightPerChannelFloatMSE", "WeightPerTensorFloatMSE"});
  return presets;
}

std::vector<QuantPreset> fnuz_float_presets() {
  return standard("FNUZ", "float_quant_fnuz", e4m3_fnuz(), e5m2_fnuz());
}

std::vector<QuantPreset> ocp_float_presets() {
  return standard("OCP", "float_quant_ocp", e4m3(), e5m2());
}

}  // namespace laconic
