#include "weight_quantizer.h"

#include <ATen/ATen.h>

#include "laconic/nn/quantizer.h"
#include "parts.h"

namespace laconic::golden {
namespace {

bool asymmetric(const QuantSpec& spec) {
  return !std::holds_alternative<NoZeroPoint>(spec.zero_point);
}

bool is_searched(const Statistic& kind) {
  return std::visit([](const auto& part) { return is_search(part); }, kind);
}

/// The statistic of an option scale_source, and the scale that it makes.
Scale read_scale(Options& options, ScaleRule rule, bool has_zero_point, RangeStart& start) {
  const auto source = options.word(
      "scale_source",
      {"stats", "parameter_from_stats", "parameter", "const", "affine_stats", "he", "none"},
      "stats");
  if (options.has("scale_stat")) rule.statistic = read_statistic(options);
  if (has_zero_point && is_searched(rule.statistic)) {
    start.source = ZeroPointSource::kLearned;
  } else {
    start.source = ZeroPointSource::kStatistic;
  }
  if (source == "none") return ConstantScale{};
  if (source == "parameter_from_stats") return LearnedScale{{rule}};
  if (source == "parameter") {
    rule.statistic = GivenRange{options.number("scale_init", -1e30, 1e30)};
    return LearnedScale{{rule}};
  }
  if (source == "const") rule.statistic = GivenRange{options.number("scale_init", -1e30, 1e30)};
  if (source == "he") rule.statistic = HeSpread{};
  if (source == "affine_stats") {
    rule.affine = Affine::kFactor;
    rule.factor = options.number("affine_scale_init", -1e30, 1e30, 1);
  }
  const bool searches_zero_point =
      has_zero_point && std::holds_alternative<HalfQuadratic>(rule.statistic);
  if (source == "stats" && searches_zero_point) {
    // Beside a scale that is not learned only the zero point is searched.
    rule.statistic = MinMax{.include_zero = false};
    start.minimum = HalfQuadraticMinimum{};
  }
  return StatisticScale{{rule}};
}

}  // namespace

WeightQuantizer read_weight_quantizer(Options& options) {
  WeightQuantizer result;
  QuantSpec& spec = result.spec;
  const auto layer = read_layer(options);
  result.transposed = is_transposed(layer);
  spec.format = read_format(options);
  spec.zero_point = read_zero_point(options);
  spec.granularity = read_granularity(options, layer);
  spec.rounding = read_rounding(options);
  const bool is_float = std::holds_alternative<MinifloatFormat>(spec.format);
  const bool learns_bits =
      options.flag(is_float ? "learned_mantissa_bits" : "learned_bit_width", false);
  if (learns_bits) spec.bit_width = LearnedBits{};
  ScaleRule rule;
  rule.restriction = read_restriction(options);
  rule.minimum = std::max(options.number("scale_min", 0, 1e6, is_float ? 0 : 1e-10), 1e-45);
  rule.threshold = threshold_of(spec.format, rule.restriction, options);
  spec.scale = read_scale(options, rule, asymmetric(spec), spec.range_start);
  if (result.transposed) count_channels_of(spec.scale, 1);
  const auto made = statistic_of(spec.scale);
  const bool is_learned = std::holds_alternative<LearnedScale>(spec.scale);
  result.is_live = !is_learned;
  // Minifloats are clamped with the true gradient in every case.
  const bool masked =
      is_float || learns_bits || is_learned || (made && made->affine != Affine::kNone);
  spec.gradient = masked ? Gradient(Clipped{}) : StraightThrough{};
  if (options.has("clamp_gradient")) spec.gradient = read_clamp_gradient(options);
  return result;
}

QuantizedWeight quantize_weight(const WeightQuantizer& quantizer, const at::Tensor& weight) {
  const QuantSpec& spec = quantizer.spec;
  nn::Quantizer module(spec, weight);
  const QuantTensor found = module->forward(weight);
  QuantizedWeight result{found.value,         codes_of(found).to(at::kFloat),
                         found.scale,         found.zero_point,
                         module->bit_width(), {}};
  // Without a scale one number is recorded.
  if (std::holds_alternative<ConstantScale>(spec.scale)) result.scale = at::ones({1});
  for (const auto& parameter : module->named_parameters())
    result.parameters[parameter.key()] = parameter.value();
  return result;
}

at::Tensor recorded_shape(const WeightQuantizer& quantizer, const at::Tensor& value,
                          const at::Tensor& weight) {
  const auto& granularity = quantizer.spec.granularity;
  if (!std::holds_alternative<PerGroup>(granularity)) return value;
  return spread(value, weight.sizes(), granularity);
}

}  // namespace laconic::golden
