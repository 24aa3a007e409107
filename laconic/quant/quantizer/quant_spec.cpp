#include "laconic/quant/quantizer/quant_spec.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>

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
  std::visit(
      [&](auto& scale) {
        if constexpr (has_statistic<decltype(scale)>) {
          put(scale);
        } else {
          TORCH_CHECK_VALUE(false, "[scale] a ", part_name(scale), " scale takes no ", what,
                            ". Replace the scale first, for example by StatisticScale{}.");
        }
      },
      spec.scale);
}

// A user's part with its numbers: "round_from(fraction 0.3)".
template <typename Kind>
std::string describe(const Custom<Kind>& part) {
  std::string numbers;
  for (const auto& [name, value] : part.parameters) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), " %g", value);
    numbers += (numbers.empty() ? "" : ", ") + name + text.data();
  }
  return part.name + (numbers.empty() ? "" : "(" + numbers + ")");
}

template <typename... Kinds>
std::string name_of(const std::variant<Kinds...>& part) {
  return std::visit(
      [](const auto& kind) {
        if constexpr (is_custom<std::remove_cvref_t<decltype(kind)>>) return describe(kind);
        return part_name(kind);
      },
      part);
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
                               [](const PerToken&) { return std::string("per token"); },
                               [](const CustomGranularity& kind) { return describe(kind); }},
                    granularity);
}

std::string describe(const Scale& scale) {
  const auto text = [](const auto& kind) {
    std::string line = name_of(kind.statistic);
    if (!std::holds_alternative<AnyFloat>(kind.restriction))
      line += ", scale " + name_of(kind.restriction);
    if (const auto* stored = std::get_if<StoredAs>(&kind.restriction)) {
      line += stored->dtype == c10::ScalarType::Half ? " float16" : " bfloat16";
    }
    if (const auto* by = std::get_if<QuantizedBy>(&kind.restriction))
      line += " (" + to_string(*by->quantizer) + ")";
    if (kind.threshold == Threshold::kFullRange) line += ", full range";
    return line;
  };
  return std::visit(
      Overloaded{
          [](const ConstantScale& kind) { return "constant scale " + std::to_string(kind.value); },
          [](const CustomScale& kind) { return describe(kind); },
          [&](const StatisticScale& kind) { return text(kind); },
          [&](const StaticScale& kind) { return "static " + text(kind); },
          [&](const LearnedScale& kind) { return "learned from " + text(kind); }},
      scale);
}

std::string describe(const ZeroPoint& zero_point) {
  const auto* minimum = std::get_if<QuantizedMinimum>(&zero_point);
  return name_of(zero_point) +
         (minimum == nullptr ? "" : " by (" + to_string(*minimum->quantizer) + ")");
}

void check_constant(const ConstantScale& scale) {
  TORCH_CHECK_VALUE(scale.value > 0 && std::isfinite(scale.value),
                    "[ConstantScale] value: expected a finite number more than 0, got ",
                    scale.value, ".");
}

// A scale that is fixed before the tensor is there must fit a tensor of any batch and length.
void check_static(const Granularity& granularity) {
  const auto* channel = std::get_if<PerChannel>(&granularity);
  const bool fits =
      std::holds_alternative<PerTensor>(granularity) || (channel != nullptr && channel->axis == -1);
  TORCH_CHECK_VALUE(fits, "[scale] the static scale contradicts the granularity ",
                    name_of(granularity),
                    ": expected tensor, or channel with axis -1. Choose one of them, or the scale "
                    "statistic, which is found anew at each call.");
}

// A magnitude mapped to all the codes from the minimum on would clip half of a range around zero.
bool is_magnitude(const Statistic& statistic) {
  return std::visit(
      Overloaded{[](const MinMax&) { return false; },
                 [](const PercentileInterval&) { return false; }, [](const Mse&) { return false; },
                 [](const HalfQuadratic&) { return false; },
                 [](const CustomStatistic&) { return false; }, [](const auto&) { return true; }},
      statistic);
}

void check_zero_point(const QuantSpec& spec, const StatisticScale& scale) {
  if (std::holds_alternative<NoZeroPoint>(spec.zero_point)) return;
  TORCH_CHECK_VALUE(!is_magnitude(scale.statistic), "[scale] the statistic ",
                    name_of(scale.statistic), " is a magnitude, which contradicts the zero point ",
                    name_of(spec.zero_point),
                    ". Choose min_max, percentile_interval, mse or hqo, or zero_point none.");
}

// All codes from the smallest to the largest may be more than float32 holds.
void check_span(const QuantSpec& spec, const StatisticScale& scale) {
  if (!std::holds_alternative<MinifloatFormat>(spec.format)) return;
  const bool symmetric = std::holds_alternative<NoZeroPoint>(spec.zero_point);
  const double span =
      threshold_code(symmetric ? scale.threshold : Threshold::kCodeCount, spec.format);
  TORCH_CHECK_VALUE(span <= std::numeric_limits<float>::max(), "[scale] ",
                    symmetric ? "the threshold code_count"
                              : "the zero point " + std::string(name_of(spec.zero_point)),
                    " contradicts the format ", describe(spec.format),
                    ", whose numbers span more than float32 holds. Choose threshold largest_code "
                    "without a zero point, or fewer exponent_bits.");
}

void check_own_parts(const QuantSpec& spec) {
  const auto check_part = [](const auto& variant) {
    std::visit([](const auto& kind) { check_custom(kind); }, variant);
  };
  check_part(spec.format), check_part(spec.granularity), check_part(spec.scale),
      check_part(spec.zero_point), check_part(spec.rounding), check_part(spec.gradient);
  if (const auto scale = statistic_of(spec.scale))
    check_part(scale->statistic), check_part(scale->restriction);
}

// Whole zero points are codes: other formats have no code for most of them.
void check_whole_zero_point(const QuantSpec& spec) {
  TORCH_CHECK_VALUE(!std::holds_alternative<IntegerZeroPoint>(spec.zero_point) ||
                        std::holds_alternative<IntFormat>(spec.format),
                    "[zero_point] the zero point integer contradicts the format ",
                    describe(spec.format),
                    ", which cannot hold whole numbers in general. Choose zero point none or "
                    "float, or format int.");
}

// A quantizer of numbers that are found with each tensor.
void check_inner(const QuantSpec& quantizer, const std::string& key) {
  check(quantizer);
  TORCH_CHECK_VALUE(!std::holds_alternative<StaticScale>(quantizer.scale),
                    "[scale] the static scale of ", key,
                    " contradicts the part it belongs to: its numbers are found anew with each "
                    "tensor. Choose scale statistic or constant.");
}

void check_minimum_quantizer(const QuantSpec& spec) {
  const auto* kind = std::get_if<QuantizedMinimum>(&spec.zero_point);
  if (kind != nullptr) check_inner(*kind->quantizer, "minimum_quantizer");
}

void check_scale_quantizer(const StatisticScale& scale) {
  const auto* restriction = std::get_if<QuantizedBy>(&scale.restriction);
  if (restriction == nullptr) return;
  const QuantSpec& quantizer = *restriction->quantizer;
  check_inner(quantizer, "scale_quantizer");
  const auto [low, high] = element_range(quantizer.format);
  TORCH_CHECK_VALUE(high > 0, "[scale] the format ", describe(quantizer.format),
                    " of scale_quantizer has no positive number, which contradicts scales. Choose "
                    "another format.");
  TORCH_CHECK_VALUE(!std::holds_alternative<SignedAbsMax>(scale.statistic) || low < 0,
                    "[scale] the statistic signed_absmax can be negative, the format ",
                    describe(quantizer.format),
                    " of scale_quantizer cannot. Choose absmax or a signed format.");
}

// Its two thresholds are its rounding.
void check_ternary(const QuantSpec& spec) {
  TORCH_CHECK_VALUE(!std::holds_alternative<TernaryFormat>(spec.format) ||
                        std::holds_alternative<HalfEven>(spec.rounding),
                    "[rounding] ", name_of(spec.rounding),
                    " contradicts the format ternary, whose threshold says what becomes 0. Choose "
                    "half_even, or a table of -1, 0 and 1.");
}

void check_scale(const QuantSpec& spec, const StatisticScale& scale) {
  check_statistic(scale.statistic);
  TORCH_CHECK_VALUE(scale.minimum > 0 && std::isfinite(scale.minimum),
                    "[scale] minimum: expected a finite number more than 0, got ", scale.minimum,
                    ".");
  const bool is_signed = std::holds_alternative<SignedAbsMax>(scale.statistic);
  const bool power = std::holds_alternative<PowerOfTwo>(scale.restriction) ||
                     std::holds_alternative<LogFloat>(scale.restriction);
  TORCH_CHECK_VALUE(!(is_signed && power),
                    "[scale] the statistic signed_absmax can be negative, the restriction ",
                    name_of(scale.restriction), " cannot. Choose absmax or another restriction.");
  check_zero_point(spec, scale);
  check_span(spec, scale);
  check_scale_quantizer(scale);
  TORCH_CHECK_VALUE(!std::holds_alternative<AbsMaxAverage>(scale.statistic) ||
                        std::holds_alternative<PerTensor>(spec.granularity),
                    "[scale] the statistic absmax_average contradicts the granularity ",
                    name_of(spec.granularity),
                    ": it is one number for the whole tensor. Choose "
                    "granularity tensor, or absmax.");
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
  check_own_parts(spec);
  check_rounding(spec.rounding);
  check_gradient(spec.gradient);
  check_whole_zero_point(spec);
  check_ternary(spec);
  check_minimum_quantizer(spec);
  if (const auto* constant = std::get_if<ConstantScale>(&spec.scale)) check_constant(*constant);
  if (const auto statistic = statistic_of(spec.scale)) check_scale(spec, *statistic);
  if (std::holds_alternative<StaticScale>(spec.scale)) check_static(spec.granularity);
}

std::string to_string(const QuantSpec& spec) {
  const bool symmetric = std::holds_alternative<NoZeroPoint>(spec.zero_point);
  std::string line =
      describe(spec.format) +
      (symmetric ? " symmetric" : " asymmetric (" + describe(spec.zero_point) + " zero point)") +
      ", " + describe(spec.granularity) + ", " + describe(spec.scale);
  if (!std::holds_alternative<HalfEven>(spec.rounding)) line += ", " + name_of(spec.rounding);
  if (!std::holds_alternative<StraightThrough>(spec.gradient))
    line += ", gradient " + name_of(spec.gradient);
  return line;
}

}  // namespace laconic
