#include "laconic/quant/quantizer/quant_spec.h"

#include "laconic/base/variant.h"

namespace laconic {
namespace {

template <typename Part>
void put_into_scale(QuantSpec& spec, const Part& part, std::string_view what) {
  const auto put = [&](auto& scale) {
    if constexpr (std::is_same_v<Part, Statistic>) scale.statistic = part;
    if constexpr (std::is_same_v<Part, Restriction>) scale.restriction = part;
    if constexpr (std::is_same_v<Part, Threshold>) scale.threshold = part;
  };
  std::visit(Overloaded{[&](StatisticScale& scale) { put(scale); },
                        [&](LearnedScale& scale) { put(scale); },
                        [&](const ConstantScale& scale) {
                          TORCH_CHECK_VALUE(
                              false, "[scale] a constant scale (", scale.value, ") takes no ", what,
                              ". Replace the scale first, for example by StatisticScale{}.");
                        }},
             spec.scale);
}

std::string describe(const IntFormat& format) {
  return std::string(format.is_signed ? "int" : "uint") + std::to_string(format.bit_width) +
         (format.narrow_range ? " narrow" : "");
}

std::string describe(const Granularity& granularity) {
  return std::visit(Overloaded{[](const PerTensor&) { return std::string("per tensor"); },
                               [](const PerChannel& kind) {
                                 return "per channel of axis " + std::to_string(kind.axis);
                               },
                               [](const PerGroup& kind) {
                                 return "per group of " + std::to_string(kind.group_size) +
                                        " on axis " + std::to_string(kind.axis) +
                                        (kind.pad ? " (padded)" : "");
                               },
                               [](const PerToken&) { return std::string("per token"); }},
                    granularity);
}

template <typename Variant>
std::string name_of(const Variant& part) {
  return std::visit([](const auto& kind) { return std::string(kind.kName); }, part);
}

std::string describe(const Scale& scale) {
  const auto text = [](const auto& kind) {
    std::string line = name_of(kind.statistic);
    if (!std::holds_alternative<AnyFloat>(kind.restriction))
      line += ", scale " + name_of(kind.restriction);
    if (const auto* stored = std::get_if<StoredAs>(&kind.restriction)) {
      line += stored->dtype == c10::ScalarType::Half ? " float16" : " bfloat16";
    }
    if (kind.threshold == Threshold::kFullRange) line += ", full range";
    return line;
  };
  return std::visit(
      Overloaded{
          [](const ConstantScale& kind) { return "constant scale " + std::to_string(kind.value); },
          [&](const StatisticScale& kind) { return text(kind); },
          [&](const LearnedScale& kind) { return "learned from " + text(kind); }},
      scale);
}

template <typename Kind>
void check_scale(const QuantSpec& spec, const Kind& scale) {
  check_statistic(scale.statistic);
  TORCH_CHECK_VALUE(scale.minimum > 0, "[scale] minimum: expected more than 0, got ", scale.minimum,
                    ".");
  const bool asymmetric = !std::holds_alternative<NoZeroPoint>(spec.zero_point);
  const bool is_signed = std::holds_alternative<SignedAbsMax>(scale.statistic);
  const bool power = std::holds_alternative<PowerOfTwo>(scale.restriction) ||
                     std::holds_alternative<LogFloat>(scale.restriction);
  TORCH_CHECK_VALUE(!(is_signed && power),
                    "[scale] the statistic signed_absmax can be negative, the restriction ",
                    name_of(scale.restriction), " cannot. Choose absmax or another restriction.");
  TORCH_CHECK_VALUE(!(is_signed && asymmetric),
                    "[scale] the statistic signed_absmax contradicts the zero point ",
                    name_of(spec.zero_point), ". Choose one of them.");
}

}  // namespace

void put_part(QuantSpec& spec, const IntFormat& part) { spec.format = part; }
void put_part(QuantSpec& spec, const Format& part) { spec.format = part; }
void put_part(QuantSpec& spec, const Granularity& part) { spec.granularity = part; }
void put_part(QuantSpec& spec, const Scale& part) { spec.scale = part; }
void put_part(QuantSpec& spec, const Statistic& part) { put_into_scale(spec, part, "statistic"); }
void put_part(QuantSpec& spec, const Restriction& part) {
  put_into_scale(spec, part, "restriction");
}
void put_part(QuantSpec& spec, Threshold part) { put_into_scale(spec, part, "threshold"); }
void put_part(QuantSpec& spec, const ZeroPoint& part) { spec.zero_point = part; }
void put_part(QuantSpec& spec, const Rounding& part) { spec.rounding = part; }
void put_part(QuantSpec& spec, const Gradient& part) { spec.gradient = part; }

void check(const QuantSpec& spec) {
  check_format(spec.format);
  if (const auto* group = std::get_if<PerGroup>(&spec.granularity)) {
    TORCH_CHECK_VALUE(group->group_size > 0, "[PerGroup] group_size: expected more than 0, got ",
                      group->group_size, ".");
  }
  std::visit(Overloaded{[](const ConstantScale& scale) {
                          TORCH_CHECK_VALUE(scale.value > 0,
                                            "[ConstantScale] value: expected more than 0, got ",
                                            scale.value, ".");
                        },
                        [&](const auto& scale) { check_scale(spec, scale); }},
             spec.scale);
}

std::string to_string(const QuantSpec& spec) {
  const bool symmetric = std::holds_alternative<NoZeroPoint>(spec.zero_point);
  std::string line =
      describe(std::get<IntFormat>(spec.format)) +
      (symmetric ? " symmetric" : " asymmetric (" + name_of(spec.zero_point) + " zero point)") +
      ", " + describe(spec.granularity) + ", " + describe(spec.scale);
  if (!std::holds_alternative<HalfEven>(spec.rounding)) line += ", " + name_of(spec.rounding);
  if (!std::holds_alternative<StraightThrough>(spec.gradient))
    line += ", gradient " + name_of(spec.gradient);
  return line;
}

}  // namespace laconic
