#include "laconic/quant/quantizer/describe.h"

#include <array>
#include <cstdio>

#include "laconic/base/variant.h"

namespace laconic {
namespace {

std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%g", value);
  return text.data();
}

std::string describe(const AccumulatorScale& kind) {
  return std::string("accumulator of ") + std::to_string(kind.accumulator_bits) + " bits, " +
         std::to_string(kind.input_bits) + " bits of " + (kind.input_signed ? "" : "un") +
         "signed input" + (kind.zero_centered ? ", zero-centered" : "");
}

std::string describe_averaged(const char* what, double momentum) {
  return std::string(what) + (momentum > 0 ? " momentum " + number(momentum) : " mean");
}

std::string describe(const ScaleRule& kind) {
  std::string line = name_of(kind.statistic);
  if (!std::holds_alternative<AnyFloat>(kind.restriction))
    line += ", scale " + name_of(kind.restriction);
  if (const auto* stored = std::get_if<StoredAs>(&kind.restriction)) {
    line += stored->dtype == c10::ScalarType::Half ? " float16" : " bfloat16";
  }
  if (const auto* by = std::get_if<QuantizedBy>(&kind.restriction))
    line += " (" + to_string(*by->quantizer) + ")";
  if (kind.threshold == Threshold::kFullRange) line += ", full range";
  if (kind.affine != Affine::kNone)
    line += kind.affine == Affine::kFactor ? ", learned factor" : ", learned factor and offset";
  return line;
}

std::string describe(const LearnedScale& kind) {
  std::string line = "learned from " + describe(static_cast<const ScaleRule&>(kind));
  if (kind.collect_steps > 0) {
    line += " over " + std::to_string(kind.collect_steps) + " steps";
    line += describe_averaged(",", kind.momentum);
  }
  return line;
}

}  // namespace

std::string describe_own(const std::string& name, const CustomParameters& parameters) {
  std::string numbers;
  for (const auto& [key, value] : parameters)
    numbers += (numbers.empty() ? "" : ", ") + key + " " + number(value);
  return name + (numbers.empty() ? "" : "(" + numbers + ")");
}

std::string describe(const Granularity& granularity) {
  return std::visit(
      Overloaded{
          [](const PerTensor&) { return std::string("per tensor"); },
          [](const PerChannel& kind) { return "per channel of axis " + std::to_string(kind.axis); },
          [](const PerGroup& kind) {
            return "per group of " + std::to_string(kind.group_size) + " on axis " +
                   std::to_string(kind.axis) + (kind.pad ? " (padded)" : "");
          },
          [](const PerToken&) { return std::string("per token"); },
          [](const PerBlock& kind) {
            return "per block of " + std::to_string(kind.rows) + " x " +
                   std::to_string(kind.columns) + (kind.pad ? " (padded)" : "");
          },
          [](const PerHead& kind) {
            return "per head of " + std::to_string(kind.heads) + " on axis " +
                   std::to_string(kind.axis) + (kind.per_token ? " and token" : "");
          },
          [](const CustomGranularity& kind) { return describe_own(kind.name, kind.parameters); }},
      granularity);
}

std::string describe(const Scale& scale) {
  return std::visit(
      Overloaded{
          [](const ConstantScale& kind) { return "constant scale " + std::to_string(kind.value); },
          [](const CustomScale& kind) { return describe_own(kind.name, kind.parameters); },
          [](const StatisticScale& kind) { return describe(static_cast<const ScaleRule&>(kind)); },
          [](const StaticScale& kind) {
            return "static " + describe(static_cast<const ScaleRule&>(kind));
          },
          [](const RunningScale& kind) {
            return describe_averaged("running", kind.momentum) + " of " +
                   describe(static_cast<const ScaleRule&>(kind));
          },
          [](const LearnedScale& kind) { return describe(kind); },
          [](const DecoupledScale& kind) {
            return "codes by " + describe(static_cast<const ScaleRule&>(kind)) +
                   ", values by a learned scale";
          },
          [](const WeightNormScale&) { return std::string("learned weight norm"); },
          [](const AccumulatorScale& kind) { return describe(kind); }},
      scale);
}

std::string describe(const ZeroPoint& zero_point) {
  const auto* minimum = std::get_if<QuantizedMinimum>(&zero_point);
  return name_of(zero_point) +
         (minimum == nullptr ? "" : " by (" + to_string(*minimum->quantizer) + ")");
}

std::string to_string(const QuantSpec& spec) {
  const bool symmetric = std::holds_alternative<NoZeroPoint>(spec.zero_point);
  std::string line =
      describe(spec.format) +
      (symmetric ? " symmetric" : " asymmetric (" + describe(spec.zero_point) + " zero point)") +
      ", " + describe(spec.granularity) + ", " + describe(spec.scale);
  if (!symmetric && spec.range_start != RangeStart{}) {
    line += ", range from " + name_of(spec.range_start.minimum);
    if (spec.range_start.source == ZeroPointSource::kLearned) line += " (learned)";
    if (spec.range_start.source == ZeroPointSource::kStatistic) line += " (of each tensor)";
  }
  if (!std::holds_alternative<FixedBits>(spec.bit_width)) line += ", learned bit width";
  if (spec.non_finite == NonFinite::kPropagate) line += ", NaN stays";
  if (!std::holds_alternative<HalfEven>(spec.rounding)) line += ", " + name_of(spec.rounding);
  if (!std::holds_alternative<StraightThrough>(spec.gradient))
    line += ", gradient " + name_of(spec.gradient);
  return line;
}

}  // namespace laconic
