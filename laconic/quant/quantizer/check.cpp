#include <cmath>
#include <limits>
#include <optional>

#include "laconic/base/variant.h"
#include "laconic/quant/quantizer/describe.h"
#include "laconic/quant/quantizer/range.h"

namespace laconic {
namespace {

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

// A scale that one batch hands on to the next has one shape for all batches.
void check_fixed_shape(const QuantSpec& spec) {
  const auto* learned = std::get_if<LearnedScale>(&spec.scale);
  const bool averages = std::holds_alternative<RunningScale>(spec.scale) ||
                        (learned != nullptr && learned->collect_steps > 0);
  const auto* head = std::get_if<PerHead>(&spec.granularity);
  const bool fits = std::holds_alternative<PerTensor>(spec.granularity) ||
                    std::holds_alternative<PerChannel>(spec.granularity) ||
                    (head != nullptr && !head->per_token);
  TORCH_CHECK_VALUE(!averages || fits, "[scale] the ", part_name(spec.scale),
                    " scale averages over batches, which contradicts the granularity ",
                    name_of(spec.granularity),
                    ": expected tensor, channel or head. Choose one of them, or the scale "
                    "statistic, which is found anew at each call.");
}

// A magnitude mapped to all the codes from the minimum on would clip half of a range around zero.
bool is_magnitude(const Statistic& statistic) {
  return std::visit(
      Overloaded{[](const MinMax&) { return false; },
                 [](const PercentileInterval&) { return false; }, [](const Mse&) { return false; },
                 [](const HalfQuadratic&) { return false; },
                 [](const GivenRange&) { return false; },
                 [](const CustomStatistic&) { return false; }, [](const auto&) { return true; }},
      statistic);
}

void check_zero_point(const QuantSpec& spec, const ScaleRule& scale) {
  if (std::holds_alternative<NoZeroPoint>(spec.zero_point)) return;
  TORCH_CHECK_VALUE(!is_magnitude(scale.statistic), "[scale] the statistic ",
                    name_of(scale.statistic), " is a magnitude, which contradicts the zero point ",
                    name_of(spec.zero_point),
                    ". Choose min_max, percentile_interval, mse or hqo, or zero_point none.");
}

// All codes from the smallest to the largest may be more than float32 holds.
void check_span(const QuantSpec& spec) {
  if (!std::holds_alternative<MinifloatFormat>(spec.format)) return;
  const bool symmetric = std::holds_alternative<NoZeroPoint>(spec.zero_point);
  const double span = threshold_code(spanned_threshold(spec), spec.format);
  TORCH_CHECK_VALUE(
      span <= std::numeric_limits<float>::max(), "[scale] ",
      symmetric ? "the threshold code_count" : "the zero point " + name_of(spec.zero_point),
      " contradicts the format ", describe(spec.format),
      ", whose numbers span more than float32 holds. Choose threshold largest_code "
      "without a zero point, or fewer exponent_bits.");
}

// A range is divided by the code that it becomes.
void check_threshold(const QuantSpec& spec) {
  const auto* choice = std::get_if<ChoiceFormat>(&spec.format);
  const size_t count = choice != nullptr ? choice->tables.size() : 1;
  for (size_t i = 0; i < count; ++i) {
    const Format format = choice != nullptr ? Format(TableFormat{choice->tables[i]}) : spec.format;
    const double code = threshold_code(spanned_threshold(spec), format);
    TORCH_CHECK_VALUE(code > 0, "[scale] the threshold contradicts the format ",
                      describe(spec.format), ": it divides by a number above 0, the format's is ",
                      code, ". Choose threshold full_range, or a format with a number above 0.");
  }
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

bool is_for_whole_tensor(const Statistic& statistic) {
  return std::holds_alternative<AbsMaxAverage>(statistic) ||
         std::holds_alternative<AbsMaxL2>(statistic);
}

bool can_be_negative(const Statistic& statistic) {
  const auto* given = std::get_if<GivenRange>(&statistic);
  return std::holds_alternative<SignedAbsMax>(statistic) || (given != nullptr && given->range < 0);
}

// A quantizer of numbers that are found with each tensor.
void check_inner(const QuantSpec& quantizer, const std::string& key) {
  check(quantizer);
  TORCH_CHECK_VALUE(!is_joint(quantizer.format), "[format] the format ", describe(quantizer.format),
                    " of ", key,
                    " contradicts the part it belongs to: nobody keeps what its codes need beside "
                    "the scale. Choose a table.");
  const bool is_found_anew = std::holds_alternative<StatisticScale>(quantizer.scale) ||
                             std::holds_alternative<ConstantScale>(quantizer.scale) ||
                             std::holds_alternative<CustomScale>(quantizer.scale);
  TORCH_CHECK_VALUE(is_found_anew, "[scale] the ", part_name(quantizer.scale), " scale of ", key,
                    " contradicts the part it belongs to: its numbers are found anew with each "
                    "tensor. Choose scale statistic or constant.");
  const auto rule = statistic_of(quantizer.scale);
  TORCH_CHECK_VALUE((!rule || rule->affine == Affine::kNone) &&
                        std::holds_alternative<FixedBits>(quantizer.bit_width) &&
                        quantizer.range_start.source != ZeroPointSource::kLearned,
                    "[scale] ", key,
                    " has a part that training moves, which contradicts the part it belongs to: "
                    "nobody keeps its numbers. Choose affine none, bit_width fixed and "
                    "zero_point_source as_scale.");
}

bool is_constant(const Scale& scale) { return std::holds_alternative<ConstantScale>(scale); }

void check_zero_of_tables(const QuantSpec& spec) {
  const bool fits = std::holds_alternative<NoZeroPoint>(spec.zero_point) ||
                    (std::holds_alternative<FloatZeroPoint>(spec.zero_point) &&
                     std::holds_alternative<ChoiceFormat>(spec.format));
  TORCH_CHECK_VALUE(fits, "[zero_point] the zero point ", name_of(spec.zero_point),
                    " contradicts the format ", describe(spec.format),
                    ", whose numbers lie around zero. Choose zero_point none.");
}

// Tables and their scales are found together, each scale from the numbers of its table alone.
void check_table_choice(const QuantSpec& spec) {
  if (!std::holds_alternative<ChoiceFormat>(spec.format)) return;
  const std::string what = describe(spec.format);
  TORCH_CHECK_VALUE(is_constant(spec.scale) || std::holds_alternative<StatisticScale>(spec.scale),
                    "[scale] the scale ", part_name(spec.scale), " contradicts the format ", what,
                    ", whose table and scale are found together with each tensor. Choose scale "
                    "statistic or constant.");
  check_zero_of_tables(spec);
  const auto rule = statistic_of(spec.scale);
  const auto* by = rule ? std::get_if<QuantizedBy>(&rule->restriction) : nullptr;
  TORCH_CHECK_VALUE(by == nullptr || is_constant(by->quantizer->scale), "[scale] the scale ",
                    by != nullptr ? part_name(by->quantizer->scale) : "",
                    " of scale_quantizer contradicts the format ", what,
                    ": scales of several tables would have one each. Choose a scale_quantizer with "
                    "scale constant, or restriction stored_as.");
}

// What formats of several scales leave no choice of. @param how  a code is found
void check_whole_quantizer(const QuantSpec& spec, const char* how) {
  const std::string what = describe(spec.format);
  check_zero_of_tables(spec);
  TORCH_CHECK_VALUE(std::holds_alternative<HalfEven>(spec.rounding), "[rounding] ",
                    name_of(spec.rounding), " contradicts the format ", what, ", which ", how,
                    ". Choose half_even.");
  TORCH_CHECK_VALUE(std::holds_alternative<StraightThrough>(spec.gradient), "[gradient] ",
                    part_name(spec.gradient), " contradicts the format ", what,
                    ", which has no clamp. Choose straight_through.");
}

// Each plane has a statistic of what the planes before it leave.
void check_plane_format(const QuantSpec& spec) {
  if (!std::holds_alternative<PlaneSumFormat>(spec.format)) return;
  TORCH_CHECK_VALUE(std::holds_alternative<StatisticScale>(spec.scale), "[scale] the scale ",
                    part_name(spec.scale), " contradicts the format ", describe(spec.format),
                    ", whose planes each have a scale of what is left. Choose scale statistic.");
  check_whole_quantizer(spec, "takes the nearest sum");
}

// Whether neighbours of the last axis have one scale, as far as can be told without a shape.
bool shares_pairs(const Granularity& granularity) {
  if (const auto* group = std::get_if<PerGroup>(&granularity))
    return group->axis >= -1 && group->group_size % 2 == 0;
  if (const auto* channel = std::get_if<PerChannel>(&granularity)) return channel->axis >= 0;
  return std::holds_alternative<PerTensor>(granularity) ||
         std::holds_alternative<PerToken>(granularity);
}

void check_pair_format(const QuantSpec& spec) {
  if (!std::holds_alternative<ComplexSignsFormat>(spec.format)) return;
  const auto rule = statistic_of(spec.scale);
  TORCH_CHECK_VALUE(
      std::holds_alternative<StatisticScale>(spec.scale) &&
          std::holds_alternative<AbsAverage>(rule->statistic) &&
          std::holds_alternative<AnyFloat>(rule->restriction) && rule->affine == Affine::kNone,
      "[scale] the scale ", part_name(spec.scale),
      " contradicts the format complex signs, whose "
      "scales are means of magnitudes. Choose scale statistic, statistic abs_average, restriction "
      "float.");
  check_whole_quantizer(spec, "goes by the phase");
  TORCH_CHECK_VALUE(shares_pairs(spec.granularity), "[granularity] ", name_of(spec.granularity),
                    " contradicts the format complex signs: the two parts of a number are "
                    "neighbours of the last axis and share a scale. Choose tensor, channel of "
                    "another axis, token, or groups of axis -1 of an even size.");
}

void check_minimum_quantizer(const QuantSpec& spec) {
  const auto* kind = std::get_if<QuantizedMinimum>(&spec.zero_point);
  if (kind != nullptr) check_inner(*kind->quantizer, "minimum_quantizer");
}

void check_scale_quantizer(const ScaleRule& scale) {
  const auto* restriction = std::get_if<QuantizedBy>(&scale.restriction);
  if (restriction == nullptr) return;
  const QuantSpec& quantizer = *restriction->quantizer;
  check_inner(quantizer, "scale_quantizer");
  const auto [low, high] = element_range(quantizer.format);
  TORCH_CHECK_VALUE(high > 0, "[scale] the format ", describe(quantizer.format),
                    " of scale_quantizer has no positive number, which contradicts scales. Choose "
                    "another format.");
  TORCH_CHECK_VALUE(!can_be_negative(scale.statistic) || low < 0, "[scale] the statistic ",
                    name_of(scale.statistic), " can be negative, the format ",
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

bool allows_negative(const Restriction& restriction) {
  return !std::holds_alternative<PowerOfTwo>(restriction) &&
         !std::holds_alternative<LogFloat>(restriction);
}

void check_momentum(std::string_view scale, double momentum) {
  TORCH_CHECK_VALUE(momentum >= 0 && momentum <= 1, "[", scale,
                    "] momentum: expected 0 (the mean of all) to 1, got ", momentum, ".");
}

void check_averaged(const Scale& scale) {
  if (const auto* running = std::get_if<RunningScale>(&scale))
    check_momentum("RunningScale", running->momentum);
  const auto* learned = std::get_if<LearnedScale>(&scale);
  if (learned == nullptr) return;
  check_momentum("LearnedScale", learned->momentum);
  TORCH_CHECK_VALUE(learned->collect_steps >= 0, "[LearnedScale] collect_steps: expected 0 or ",
                    "more, got ", learned->collect_steps, ".");
}

// Norms are learned a channel of a weight, for integers around zero.
void check_norm(const QuantSpec& spec) {
  const auto* accumulator = std::get_if<AccumulatorScale>(&spec.scale);
  if (accumulator == nullptr && !std::holds_alternative<WeightNormScale>(spec.scale)) return;
  const std::string scale = part_name(spec.scale);
  const auto* format = std::get_if<IntFormat>(&spec.format);
  TORCH_CHECK_VALUE(format != nullptr && format->is_signed, "[scale] the scale ", scale,
                    " contradicts the format: expected signed integers. Choose signed: true.");
  TORCH_CHECK_VALUE(std::holds_alternative<NoZeroPoint>(spec.zero_point), "[scale] the scale ",
                    scale, " contradicts the zero point ", name_of(spec.zero_point),
                    ": its codes lie around zero. Choose zero_point none.");
  const double least =
      accumulator != nullptr ? accumulator->minimum : std::get<WeightNormScale>(spec.scale).minimum;
  TORCH_CHECK_VALUE(least > 0 && std::isfinite(least), "[scale] norm_minimum: expected a finite ",
                    "number more than 0, got ", least, ".");
  if (accumulator == nullptr) return;
  const int64_t bits = accumulator->accumulator_bits, inputs = accumulator->input_bits;
  TORCH_CHECK_VALUE(inputs >= 1 && inputs <= 32 && bits >= 2 && bits <= 64 && bits > inputs,
                    "[AccumulatorScale] accumulator_bits and input_bits: expected 2 to 64, more "
                    "than input_bits of 1 to 32, got ",
                    bits, " and ", inputs, ".");
  TORCH_CHECK_VALUE(std::holds_alternative<TowardZero>(spec.rounding), "[scale] the scale ", scale,
                    " contradicts the rounding ", name_of(spec.rounding),
                    ", which can enlarge the norm that it bounds. Choose rounding toward_zero.");
}

void check_learned_bits(const QuantSpec& spec) {
  if (std::holds_alternative<FixedBits>(spec.bit_width)) return;
  const auto* integers = std::get_if<IntFormat>(&spec.format);
  const auto* floats = std::get_if<MinifloatFormat>(&spec.format);
  TORCH_CHECK_VALUE(integers != nullptr || floats != nullptr,
                    "[bit_width] the learned bit width contradicts the format ",
                    part_name(spec.format),
                    ": only integers and minifloats have it. Choose bit_width fixed.");
  check_bit_width(spec.bit_width,
                  integers != nullptr ? integers->bit_width : floats->mantissa_bits);
  const bool is_fixed = std::holds_alternative<StaticScale>(spec.scale) ||
                        std::holds_alternative<WeightNormScale>(spec.scale) ||
                        std::holds_alternative<AccumulatorScale>(spec.scale);
  TORCH_CHECK_VALUE(!is_fixed, "[bit_width] the learned bit width contradicts the scale ",
                    part_name(spec.scale),
                    ", which is made for a number of bits. Choose bit_width fixed.");
  const auto rule = statistic_of(spec.scale);
  const bool searches =
      rule && std::visit([](const auto& kind) { return is_search(kind); }, rule->statistic);
  TORCH_CHECK_VALUE(!searches || !std::holds_alternative<StatisticScale>(spec.scale),
                    "[bit_width] the learned bit width contradicts a scale that is searched anew "
                    "each time. Choose scale learned, or another statistic than ",
                    rule ? name_of(rule->statistic) : std::string(), ".");
}

void check_scale(const QuantSpec& spec, const ScaleRule& scale) {
  check_statistic(scale.statistic);
  check_restriction(scale.restriction);
  TORCH_CHECK_VALUE(scale.minimum > 0 && std::isfinite(scale.minimum),
                    "[scale] minimum: expected a finite number more than 0, got ", scale.minimum,
                    ".");
  TORCH_CHECK_VALUE(!can_be_negative(scale.statistic) || allows_negative(scale.restriction),
                    "[scale] the statistic ", name_of(scale.statistic),
                    " can be negative, the restriction ", name_of(scale.restriction),
                    " cannot. Choose absmax or another restriction.");
  TORCH_CHECK_VALUE(scale.affine == Affine::kNone ||
                        std::holds_alternative<StatisticScale>(spec.scale) ||
                        std::holds_alternative<RunningScale>(spec.scale),
                    "[scale] the learned factor (affine) contradicts the scale ",
                    part_name(spec.scale), ", which is no statistic by then. Choose affine none.");
  TORCH_CHECK_VALUE(
      scale.affine == Affine::kNone || (std::isfinite(scale.factor) && scale.factor != 0),
      "[scale] factor: expected a finite number other than 0, got ", scale.factor, ".");
  TORCH_CHECK_VALUE(!std::holds_alternative<KlDivergence>(scale.statistic) ||
                        std::holds_alternative<IntFormat>(spec.format),
                    "[scale] the statistic kl contradicts the format ", describe(spec.format),
                    ": it counts whole codes. Choose mse, or format int.");
  check_zero_point(spec, scale);
  check_threshold(spec);
  check_span(spec);
  check_scale_quantizer(scale);
  TORCH_CHECK_VALUE(
      !is_for_whole_tensor(scale.statistic) || std::holds_alternative<PerTensor>(spec.granularity),
      "[scale] the statistic ", name_of(scale.statistic), " contradicts the granularity ",
      name_of(spec.granularity),
      ": it is one number for the whole tensor. Choose "
      "granularity tensor, or absmax.");
}

}  // namespace

void check(const QuantSpec& spec) {
  check_format(spec.format);
  check_granularity(spec.granularity);
  check_own_parts(spec);
  check_rounding(spec.rounding);
  check_gradient(spec.gradient);
  check_whole_zero_point(spec);
  check_ternary(spec);
  check_table_choice(spec);
  check_plane_format(spec);
  check_pair_format(spec);
  check_minimum_quantizer(spec);
  check_minimum(spec.range_start.minimum);
  check_averaged(spec.scale);
  check_norm(spec);
  check_learned_bits(spec);
  if (const auto* constant = std::get_if<ConstantScale>(&spec.scale)) check_constant(*constant);
  if (const auto statistic = statistic_of(spec.scale)) check_scale(spec, *statistic);
  if (std::holds_alternative<StaticScale>(spec.scale)) check_static(spec.granularity);
  check_fixed_shape(spec);
}

}  // namespace laconic
