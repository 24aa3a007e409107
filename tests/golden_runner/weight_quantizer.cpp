#include "weight_quantizer.h"

#include <torch/torch.h>

#include <cmath>

#include "laconic/base/variant.h"
#include "laconic/kernel/straight_through.h"
#include "laconic/quant/quantizer/formula.h"
#include "laconic/quant/quantizer/search.h"
#include "parts.h"

namespace laconic::golden {
namespace {

constexpr double kMinimumBits = 2;

ScaleSource read_source(Options& options) {
  const std::vector<std::string> words = {
      "stats", "parameter_from_stats", "parameter", "const", "affine_stats", "he", "none"};
  const auto word = options.word("scale_source", words, "stats");
  return static_cast<ScaleSource>(std::find(words.begin(), words.end(), word) - words.begin());
}

bool has_statistic(ScaleSource source) {
  return source == ScaleSource::kStats || source == ScaleSource::kParameterFromStats ||
         source == ScaleSource::kAffineStats;
}

StatisticScale& scale_of(QuantSpec& spec) { return std::get<StatisticScale>(spec.scale); }
const StatisticScale& scale_of(const QuantSpec& spec) {
  return std::get<StatisticScale>(spec.scale);
}

bool asymmetric(const QuantSpec& spec) {
  return !std::holds_alternative<NoZeroPoint>(spec.zero_point);
}

/// One quantization of a weight on its way.
struct Work {
  const WeightQuantizer& quantizer;
  at::Tensor weight, rows;
  std::vector<int64_t> shape;  ///< of the scale
  CodeBounds bounds;
  at::Tensor threshold;
  QuantizedWeight result;

  at::Tensor learn(const std::string& name, const at::Tensor& initial) {
    return result.parameters[name] = initial.detach().clone().requires_grad_();
  }
};

SearchProblem search_problem(const Work& work) {
  const at::Tensor rows = work.rows.detach();
  return {rows, {}, row_minimum(AbsMax{}, rows), work.threshold.item<double>()};
}

void check_search(const WeightQuantizer& quantizer) {
  TORCH_CHECK_VALUE(quantizer.bits == std::floor(quantizer.bits) && quantizer.bits <= 16,
                    "option bits: a search needs a whole number up to 16, got ", quantizer.bits,
                    ".");
}

/// The statistic in the shape of the scale, with gradient unless it is searched.
at::Tensor statistic(Work& work) {
  const QuantSpec& spec = work.quantizer.spec;
  const at::Tensor channels_first =
      work.quantizer.transposed ? work.weight.transpose(0, 1) : work.weight;
  const at::Tensor found = std::visit(
      Overloaded{[&](const Mse& mse) {
                   check_search(work.quantizer);
                   return search_mse(mse, spec, search_problem(work));
                 },
                 [&](const HalfQuadratic& hqo) {
                   check_search(work.quantizer);
                   // Beside a scale that is not learned only the zero point is searched.
                   if (work.quantizer.source != ScaleSource::kParameterFromStats &&
                       asymmetric(spec))
                     return row_statistic(MinMax{.include_zero = false}, work.rows, channels_first);
                   return search_half_quadratic(hqo, spec, search_problem(work));
                 },
                 [&](const auto&) {
                   return row_statistic(scale_of(spec).statistic, work.rows, channels_first);
                 }},
      scale_of(spec).statistic);
  return found.reshape(work.shape);
}

at::Tensor fixed_threshold(const Work& work, double value, at::IntArrayRef shape = {}) {
  return torch::full(shape, value, work.weight.options().requires_grad(false));
}

at::Tensor find_scale(Work& work) {
  const WeightQuantizer& quantizer = work.quantizer;
  const StatisticScale& scale = scale_of(quantizer.spec);
  const auto& restriction = scale.restriction;
  const auto stored = [&](const at::Tensor& value) {
    return to_stored_domain(restriction, at_least(value, scale.minimum));
  };
  const auto used = [&](const at::Tensor& kept) {
    return at_least(from_stored_domain(restriction, kept), scale.minimum) / work.threshold;
  };
  switch (quantizer.source) {
    case ScaleSource::kStats:
      return scale_of_statistic(scale, statistic(work), work.threshold);
    case ScaleSource::kParameterFromStats:
      return used(work.learn("scale_value", stored(statistic(work))));
    case ScaleSource::kParameter:
      return used(work.learn("scale_value",
                             stored(fixed_threshold(work, quantizer.scale_init, work.shape))));
    case ScaleSource::kConst:
      return used(stored(fixed_threshold(work, quantizer.scale_init)));
    case ScaleSource::kAffineStats:
      return used(
          stored(statistic(work)) *
          work.learn("affine_weight", fixed_threshold(work, quantizer.affine_init, work.shape)));
    case ScaleSource::kHe: {
      const double fan_in =
          static_cast<double>(work.weight.numel()) / static_cast<double>(work.weight.size(0));
      return used(stored(fixed_threshold(work, std::sqrt(2 / fan_in))));
    }
    case ScaleSource::kNone:
      return fixed_threshold(work, 1, {1});
  }
  TORCH_CHECK_VALUE(false, "option scale_source: unknown.");
}

at::Tensor find_minimum(Work& work, const at::Tensor& scale) {
  const QuantSpec& spec = work.quantizer.spec;
  const auto& kind = scale_of(spec).statistic;
  at::Tensor minimum = row_minimum(kind, work.rows);
  const at::Tensor flat = scale.detach().reshape(-1);
  if (const auto* mse = std::get_if<Mse>(&kind))
    minimum = search_minimum(*mse, spec, search_problem(work), flat);
  if (const auto* hqo = std::get_if<HalfQuadratic>(&kind)) {
    HalfQuadratic zero_point = *hqo;
    zero_point.p = 0.5;
    zero_point.beta = 1;
    minimum = search_minimum_half_quadratic(zero_point, spec, search_problem(work), flat);
  }
  minimum = minimum.reshape(work.shape);
  return work.quantizer.learned_minimum ? magnitude(work.learn("zero_point", minimum)).neg()
                                        : minimum;
}

/// Bits that a parameter of this name says, when they are learned.
at::Tensor find_bits(Work& work, double bits, bool is_learned, const std::string& name) {
  const auto options = work.weight.options().requires_grad(false);
  if (!is_learned) return torch::full({}, bits, options);
  TORCH_CHECK_VALUE(bits >= kMinimumBits, "option bits: a learned bit width is at least ",
                    kMinimumBits, ", got ", bits, ".");
  const at::Tensor offset =
      work.learn(name, torch::full({}, std::floor(bits) - kMinimumBits, options));
  const at::Tensor real = magnitude(offset) + kMinimumBits;
  return straight_through(real, real.detach().round());
}

/// Bounds and threshold of the codes, whose bits may be learned.
void find_codes(Work& work) {
  const WeightQuantizer& quantizer = work.quantizer;
  const Threshold threshold = scale_of(quantizer.spec).threshold;
  QuantizedWeight& result = work.result;
  if (const auto* whole = std::get_if<IntFormat>(&quantizer.spec.format)) {
    result.bit_width =
        find_bits(work, quantizer.bits, quantizer.learned_bit_width, "bit_width_offset");
    work.bounds = code_bounds(*whole, result.bit_width);
    work.threshold = threshold_code(threshold, work.bounds, *whole, result.bit_width);
    return;
  }
  const auto& format = std::get<MinifloatFormat>(quantizer.spec.format);
  result.mantissa_bits = find_bits(work, static_cast<double>(format.mantissa_bits),
                                   quantizer.learned_mantissa, "mantissa_bits_offset");
  work.bounds = quantizer.learned_mantissa ? code_bounds(format, result.mantissa_bits)
                                           : bounds_like(format, work.weight);
  work.threshold = quantizer.learned_mantissa
                       ? work.bounds.q_max
                       : fixed_threshold(work, threshold_code(threshold, format));
}

at::Tensor find_elements(const Work& work) {
  const QuantSpec& spec = work.quantizer.spec;
  const at::Tensor view = grouped(work.weight, spec.granularity);
  const QuantizedWeight& result = work.result;
  if (!work.quantizer.learned_mantissa)
    return elements_of(view, result.scale, result.zero_point, work.bounds, spec);
  return format_elements(std::get<MinifloatFormat>(spec.format), view / result.scale,
                         {work.bounds, spec.rounding, spec.gradient}, result.mantissa_bits);
}

bool is_searched(const Statistic& kind) {
  return std::visit([](const auto& part) { return is_search(part); }, kind);
}

}  // namespace

WeightQuantizer read_weight_quantizer(Options& options) {
  WeightQuantizer result;
  QuantSpec& spec = result.spec;
  const auto layer = read_layer(options);
  result.transposed = is_transposed(layer);
  const auto family = options.word("format", {"int", "mxint", "float", "mxfloat"}, "int");
  const bool is_float = family.ends_with("float");
  if (!is_float) result.bits = read_bits(options);
  spec.zero_point = read_zero_point(options);
  const bool is_signed = options.flag("signed", !asymmetric(spec));
  if (is_float) {
    spec.format = read_minifloat(options);
  } else {
    spec.format = make_format(result.bits, is_signed, options.flag("narrow_range", false));
  }
  spec.granularity = read_granularity(options, layer);
  spec.rounding = read_rounding(options);
  result.source = read_source(options);
  result.learned_bit_width = options.flag("learned_bit_width", false);
  result.learned_mantissa = options.flag("learned_mantissa_bits", false);
  StatisticScale& scale = scale_of(spec);
  if (has_statistic(result.source)) scale.statistic = read_statistic(options);
  if (options.has("scale_stat") && !has_statistic(result.source)) read_statistic(options);
  scale.restriction = read_restriction(options);
  scale.minimum = options.number("scale_min", 0, 1e6, options.has("bits") ? 1e-10 : 0);
  scale.threshold = threshold_of(spec, scale.restriction, options);
  if (result.source == ScaleSource::kParameter || result.source == ScaleSource::kConst)
    result.scale_init = options.number("scale_init", -1e30, 1e30);
  if (result.source == ScaleSource::kAffineStats)
    result.affine_init = options.number("affine_scale_init", -1e30, 1e30, 1);
  result.learned_minimum = asymmetric(spec) && is_searched(scale.statistic);
  // Minifloats are clamped with the true gradient in every case.
  const bool masked = std::holds_alternative<MinifloatFormat>(spec.format) ||
                      result.learned_bit_width || result.learned_mantissa ||
                      result.source == ScaleSource::kParameter ||
                      result.source == ScaleSource::kParameterFromStats ||
                      result.source == ScaleSource::kAffineStats;
  spec.gradient = masked ? Gradient(Clipped{}) : StraightThrough{};
  if (options.has("clamp_gradient")) spec.gradient = read_clamp_gradient(options);
  check_statistic(scale.statistic);
  return result;
}

QuantizedWeight quantize_weight(const WeightQuantizer& quantizer, const at::Tensor& weight) {
  const QuantSpec& spec = quantizer.spec;
  Work work{quantizer,
            weight,
            rows_of(weight, spec.granularity),
            scale_shape(weight.sizes(), spec.granularity),
            {},
            {},
            {}};
  find_codes(work);
  QuantizedWeight& result = work.result;
  result.scale = find_scale(work);
  if (asymmetric(spec)) {
    result.zero_point =
        zero_point_of_minimum(spec.zero_point, find_minimum(work, result.scale), result.scale,
                              work.bounds, {spec.rounding, spec.gradient});
  }
  const at::Tensor codes = find_elements(work);
  result.codes = ungrouped(codes, weight.sizes(), spec.granularity);
  result.value = ungrouped(real_values(codes, result.scale, result.zero_point), weight.sizes(),
                           spec.granularity);
  return result;
}

at::Tensor recorded_shape(const WeightQuantizer& quantizer, const at::Tensor& value,
                          const at::Tensor& weight) {
  const auto& granularity = quantizer.spec.granularity;
  if (!std::holds_alternative<PerGroup>(granularity)) return value;
  return ungrouped(value.expand_as(grouped(weight, granularity)), weight.sizes(), granularity);
}

}  // namespace laconic::golden
