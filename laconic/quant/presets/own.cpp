#include "laconic/quant/presets/families.h"
#include "laconic/quant/quantizer/block_formats.h"

namespace laconic {
namespace {

Granularity groups(int64_t size) { return PerGroup{.axis = 1, .group_size = size, .pad = true}; }

/// Largest magnitude to largest number: nothing is clipped.
QuantSpec unclipped(const Format& format, const Granularity& granularity,
                    const Statistic& statistic = AbsMax{}) {
  return QuantSpec{}.let(format, granularity, statistic);
}

std::vector<QuantPreset> integers() {
  const std::string family = "integers";
  std::vector<QuantPreset> presets;
  for (int64_t bits = 2; bits <= 8; ++bits) {
    const IntFormat format{bits, true, false};
    presets.push_back(
        {"int" + std::to_string(bits) + "-g128", family, unclipped(format, groups(128))});
  }
  const QuantSpec int4 = unclipped(IntFormat{4, true, false}, groups(128));
  QuantSpec shifted4 = shifted(groups(128));
  shifted4.format = IntFormat{4, false, false};
  QuantSpec hqo = shifted4;
  hqo.zero_point = FloatZeroPoint{};
  hqo.range_start = {HalfQuadraticMinimum{}, ZeroPointSource::kStatistic};
  presets.push_back({"int8-channel", family, unclipped(IntFormat{8, true, false}, kChannels)});
  presets.push_back({"int4-g128-mse", family, int4.let(Mse{})});
  presets.push_back({"uint4-g128", family, shifted4});
  presets.push_back({"uint4-g128-hqo", family, hqo});
  return presets;
}

std::vector<QuantPreset> floats() {
  const std::string family = "minifloats";
  return {{"binary-channel", "signs", unclipped(BinaryFormat{}, kChannels, AbsAverage{})},
          {"ternary-tensor", "signs", unclipped(TernaryFormat{}, PerTensor{}, AbsAverage{})},
          {"e4m3-channel", family, unclipped(e4m3(), kChannels)},
          {"e5m2-channel", family, unclipped(e5m2(), kChannels)},
          {"e4m3-fnuz-channel", family, unclipped(e4m3_fnuz(), kChannels)},
          {"e5m2-fnuz-channel", family, unclipped(e5m2_fnuz(), kChannels)},
          {"e3m2-channel", family, unclipped(e3m2(), kChannels)},
          {"e2m3-channel", family, unclipped(e2m3(), kChannels)},
          {"e2m1-channel", family, unclipped(e2m1(), kChannels)}};
}

std::vector<QuantPreset> blocks() {
  const std::string family = "blocks";
  const auto integers = [](int64_t bits) { return Format(IntFormat{bits, true, false}); };
  const QuantSpec nvint4 = nvfp4().let(integers(4));
  return {{"mxfp8-e4m3", family, mx(e4m3())},
          {"mxfp8-e5m2", family, mx(e5m2())},
          {"mxfp6-e3m2", family, mx(e3m2())},
          {"mxfp6-e2m3", family, mx(e2m3())},
          {"mxfp4", family, mx(e2m1())},
          {"mxint8", family, mx(integers(8))},
          {"mxint6", family, mx(integers(6))},
          {"mxint4", family, mx(integers(4))},
          {"nvfp4", family, nvfp4()},
          {"nvint4", family, nvint4},
          {"bfp8-g16", family, block_float(8, 16)},
          {"bfp4-g16", family, block_float(4, 16)},
          {"super-block-q3-k", family, super_block({3, 16, 6, 16}), "as GGUF's Q3_K"},
          {"super-block-q6-k", family, super_block({6, 16, 8, 16}), "as GGUF's Q6_K"},
          {"super-block-q2-k", family, super_block_with_minimum({2, 16, 4, 16}), "as GGUF's Q2_K"},
          {"super-block-q4-k", family, super_block_with_minimum({4, 32, 6, 8}), "as GGUF's Q4_K"},
          {"super-block-q5-k", family, super_block_with_minimum({5, 32, 6, 8}), "as GGUF's Q5_K"},
          {"nf4-double", family, double_quantized_nf4(), "as QLoRA"}};
}

std::vector<QuantPreset> tables() {
  const std::string family = "tables";
  const PowerSumFormat powers{.bit_width = 4, .terms = 1, .root = 1};
  const PowerSumFormat roots{.bit_width = 4, .terms = 1, .root = 2};
  const PowerSumFormat sums{.bit_width = 5, .terms = 2, .root = 1};
  // The whole range of each table, which reaches further on one side of zero.
  const auto chosen = [](const ChoiceFormat& format) {
    return unclipped(format, groups(128)).let(Threshold::kFullRange);
  };
  return {
      {"nf4-g64", family, unclipped(nf4(), groups(64))},
      {"fp4-g64", family, unclipped(fp4(), groups(64))},
      {"af4-g64", family, unclipped(af4(), groups(64))},
      {"bitmod3-g128", family, chosen(bitmod_tables(3))},
      {"bitmod4-g128", family, chosen(bitmod_tables(4))},
      {"two-binary-g128", "planes", unclipped(PlaneSumFormat{}, groups(128), AbsAverage{})},
      {"two-ternary-g128", "planes",
       unclipped(PlaneSumFormat{2, Plane::kTernary, 5}, groups(128), AbsAverage{})},
      {"complex-signs-tensor", "complex",
       unclipped(ComplexSignsFormat{}, PerTensor{}, AbsAverage{}), "as iFairy"},
      {"complex-signs-g128", "complex", unclipped(ComplexSignsFormat{}, groups(128), AbsAverage{})},
      {"power-of-two-4-channel", family, unclipped(powers, kChannels)},
      {"power-of-root-two-4-channel", family, unclipped(roots, kChannels)},
      {"power-sum-5-channel", family, unclipped(sums, kChannels)}};
}

}  // namespace

std::vector<QuantPreset> own_presets() {
  std::vector<QuantPreset> presets;
  for (const auto& family : {integers(), floats(), blocks(), tables()})
    presets.insert(presets.end(), family.begin(), family.end());
  return presets;
}

}  // namespace laconic
