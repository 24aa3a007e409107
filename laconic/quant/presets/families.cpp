#include "laconic/quant/presets/families.h"

namespace laconic {
namespace {

// All codes of the larger side are used; powers of two divide by powers of two.
ScaleRule rule_of(const Statistic& statistic, const Restriction& restriction) {
  ScaleRule rule;
  rule.statistic = statistic;
  rule.restriction = restriction;
  rule.threshold = std::holds_alternative<PowerOfTwo>(restriction) ? Threshold::kPowerOfTwo
                                                                   : Threshold::kFullRange;
  return rule;
}

}  // namespace

QuantSpec live(const QuantSpec& spec, const Statistic& statistic, const Restriction& restriction) {
  return spec.let(Scale(StatisticScale{rule_of(statistic, restriction)}));
}

QuantSpec learned(const QuantSpec& spec, const Statistic& statistic,
                  const Restriction& restriction) {
  return spec.let(Scale(LearnedScale{{rule_of(statistic, restriction)}}), Gradient(Clipped{}));
}

QuantSpec collected(const QuantSpec& spec, const Statistic& statistic,
                    const Restriction& restriction) {
  return spec.let(Scale(LearnedScale{{rule_of(statistic, restriction)}, kCollectSteps}),
                  Gradient(Clipped{}));
}

Restriction power_up() { return PowerOfTwo{PowerRounding::kCeil}; }
Restriction power_down() { return PowerOfTwo{PowerRounding::kFloor}; }

QuantSpec int_weight(int64_t bits) {
  return live(QuantSpec{}.let(IntFormat{bits, true, true}), AbsMax{});
}

QuantSpec int_activation(bool is_signed) {
  return collected(QuantSpec{}.let(IntFormat{8, is_signed, false}), Percentile{});
}

QuantSpec shifted(const Granularity& granularity) {
  QuantSpec spec;
  spec.format = IntFormat{8, false, false};
  spec.granularity = granularity;
  spec.zero_point = IntegerZeroPoint{};
  spec.scale = StatisticScale{rule_of(MinMax{.include_zero = false}, AnyFloat{})};
  return spec;
}

}  // namespace laconic
