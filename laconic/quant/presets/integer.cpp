#include "laconic/quant/presets/families.h"

namespace laconic {
namespace {

BiasQuantizer bias(int64_t bits) { return {.format = {bits, true, false}}; }

QuantSpec decoupled(const QuantSpec& spec, const Statistic& statistic,
                    const Restriction& restriction = AnyFloat{}) {
  const auto rule = *statistic_of(live(spec, statistic, restriction).scale);
  return spec.let(Scale(DecoupledScale{{rule}}));
}

/// Scales of batch normalisation's way: the mean over batches of each channel's largest magnitude.
QuantSpec batch(bool is_signed) {
  const QuantSpec spec = int_activation(is_signed);
  RunningScale running{*statistic_of(spec.scale), /*momentum=*/0};
  running.statistic = AbsMaxAverage{.axis = 1};
  return spec.let(Scale(running));
}

QuantSpec accumulator_aware(bool zero_centered) {
  AccumulatorScale scale;
  scale.zero_centered = zero_centered;
  return int_weight().let(kChannels, Scale(scale), Rounding(TowardZero{}), Gradient(Clipped{}));
}

constexpr const char* kGivenRange = "set the range";
constexpr const char* kAccumulator =
    "set accumulator_bits, and input_bits and input_signed as the input has them";

}  // namespace

std::vector<QuantPreset> scaled_integer_presets() {
  const std::string family = "scaled_int";
  const QuantSpec weight = int_weight(), channels = weight.let(kChannels);
  const QuantSpec act = int_activation(true), unsigned_act = int_activation(false);
  const auto norm = channels.let(Scale(WeightNormScale{}), Gradient(Clipped{}));
  return {
      {"Int8ActPerTensorFloatMinMaxInit", family, learned(act, GivenRange{}), kGivenRange},
      {"Uint8ActPerTensorFloatMaxInit", family, learned(unsigned_act, GivenRange{}), kGivenRange},
      {"IntBias", family, bias(32), "set the bit width"},
      {"Int8Bias", family, bias(8)},
      {"Int16Bias", family, bias(16)},
      {"Int24Bias", family, bias(24)},
      {"Int32Bias", family, bias(32)},
      {"Int8BiasPerTensorFloatInternalScaling", family,
       live(QuantSpec{}.let(IntFormat{8, true, false}), AbsMax{})},
      {"Int8WeightPerTensorFloat", family, weight},
      {"Int8WeightPerTensorFloatMSE", family, learned(weight, Mse{})},
      {"Int8WeightPerChannelFloat", family, channels},
      {"Int8WeightPerChannelFloatMSE", family, learned(channels, Mse{})},
      {"Int8ActPerTensorFloat", family, act},
      {"Int8ActPerTensorFloatMSE", family, collected(act, Mse{})},
      {"Uint8ActPerTensorFloat", family, unsigned_act},
      {"Uint8ActPerTensorFloatMSE", family, collected(unsigned_act, Mse{})},
      {"TruncTo8bit", family, Truncation{}},
      {"RoundTo8bit", family, Truncation{.rounding = HalfEven{}}},
      {"ShiftRoundSaturateTo8bit", family, Truncation{.rounding = HalfEven{}},
       "set the shift that shift_for finds for the percentile 99.999"},
      {"Int4WeightPerTensorFloatDecoupled", family, decoupled(int_weight(4), AbsMaxL2{})},
      {"Int8WeightPerChannelFloatDecoupled", family, decoupled(channels, AbsMax{})},
      {"Uint8ActPerTensorFloatBatchQuant2d", family, batch(false)},
      {"Int8ActPerTensorFloatBatchQuant2d", family, batch(true)},
      {"Uint8ActPerTensorFloatBatchQuant1d", family, batch(false)},
      {"Int8ActPerTensorFloatBatchQuant1d", family, batch(true)},
      {"Int8WeightNormL2PerChannelFixedPoint", family, norm, "the scale is learned as a logarithm"},
      {"Int8AccumulatorAwareWeightQuant", family, accumulator_aware(false), kAccumulator},
      {"Int8AccumulatorAwareZeroCenterWeightQuant", family, accumulator_aware(true), kAccumulator},
      {"Int8WeightPerTensorFloatHQO", family, learned(weight, HalfQuadratic{})},
      {"Int8WeightPerChannelFloatHQO", family, learned(channels, HalfQuadratic{})}};
}

std::vector<QuantPreset> fixed_point_presets() {
  const std::string family = "fixed_point";
  const QuantSpec weight = int_weight(), channels = weight.let(kChannels);
  const QuantSpec act = int_activation(true), unsigned_act = int_activation(false);
  return {
      {"Int8WeightPerTensorFixedPoint", family, live(weight, AbsMax{}, power_up())},
      {"Int8WeightPerChannelFixedPoint", family, live(channels, AbsMax{}, power_up())},
      {"Int8WeightPerTensorFixedPointMSE", family, learned(weight, Mse{}, power_up())},
      {"Int8WeightPerChannelFixedPointMSE", family, learned(channels, Mse{}, power_up())},
      {"Int8ActPerTensorFixedPoint", family, collected(act, Percentile{}, power_up())},
      {"Int8ActPerTensorFixedPointMSE", family, collected(act, Mse{}, power_up())},
      {"Int8ActPerTensorFixedPointMinMaxInit", family, learned(act, GivenRange{}, power_up()),
       kGivenRange},
      {"Uint8ActPerTensorFixedPoint", family, collected(unsigned_act, Percentile{}, power_up())},
      {"Uint8ActPerTensorFixedPointMSE", family, collected(unsigned_act, Mse{}, power_up())},
      {"Uint8ActPerTensorFixedPointMaxInit", family,
       learned(unsigned_act, GivenRange{}, power_up()), kGivenRange},
      {"Int8BiasPerTensorFixedPointInternalScaling", family,
       live(QuantSpec{}.let(IntFormat{8, true, false}), AbsMax{}, power_up())},
      {"Int4WeightPerTensorFixedPointDecoupled", family,
       decoupled(int_weight(4), AbsMaxL2{}, power_up())}};
}

std::vector<QuantPreset> shifted_integer_presets() {
  const std::string family = "shifted_scaled_int";
  const QuantSpec tensor = shifted(), channels = shifted(kChannels);
  const PercentileInterval interval;
  // The zero point alone is searched and then learned, beside a scale that is not.
  const auto searched = [](QuantSpec spec, ZeroPointSource source) {
    spec.range_start = {HalfQuadraticMinimum{}, source};
    return spec.let(ZeroPoint(FloatZeroPoint{}));
  };
  const auto hqo = [&](const QuantSpec& spec) { return searched(spec, ZeroPointSource::kLearned); };
  return {{"ShiftedUint8ActPerTensorFixedPoint", family, collected(tensor, interval, power_up())},
          {"ShiftedUint8ActPerTensorFixedPointMSE", family, collected(tensor, Mse{}, power_up())},
          {"ShiftedUint8ActPerTensorFloat", family, collected(tensor, interval)},
          {"ShiftedUint8ActPerTensorFloatMSE", family, collected(tensor, Mse{})},
          {"ShiftedUint8WeightPerTensorFloat", family, tensor},
          {"ShiftedUint8WeightPerTensorFloatMSE", family, learned(tensor, Mse{})},
          {"ShiftedUint8WeightPerChannelFloat", family, channels},
          {"ShiftedUint8WeightPerChannelFloatMSE", family, learned(channels, Mse{})},
          {"ShiftedUint8WeightPerTensorFloatHQO", family, hqo(tensor)},
          {"ShiftedUint8WeightPerChannelFloatHQO", family, hqo(channels)},
          {"ShiftedUint8WeightPerGroupFloatHQO", family, hqo(shifted(PerGroup{1, 32, true})),
           kGroupSizeNote},
          {"ShiftedUint8ActPerTensorFloatHQO", family,
           searched(collected(tensor, interval), ZeroPointSource::kAsScale)},
          {"ShiftedUint8WeightGroupQuantFloat", family, shifted(PerGroup{1, 128, true}),
           kGroupSizeNote}};
}

}  // namespace laconic
