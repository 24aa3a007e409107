#include "parts.h"

#include <ATen/ATen.h>

#include <cmath>

namespace laconic::golden {

Rounding rounding_of(const std::string& word) {
  if (word == "ceil") return Ceil{};
  if (word == "floor") return Floor{};
  if (word == "toward_zero") return TowardZero{};
  if (word == "dpu") return Dpu{};
  return HalfEven{};
}

Rounding read_rounding(Options& options) {
  return rounding_of(options.word(
      "rounding", {"nearest_even", "ceil", "floor", "toward_zero", "dpu"}, "nearest_even"));
}

Gradient read_clamp_gradient(Options& options) {
  if (options.word("clamp_gradient", {"masked", "pass_through"}) == "masked") return Clipped{};
  return StraightThrough{};
}

Restriction read_restriction(Options& options, const std::string& key) {
  const auto word = options.word(key,
                                 {"float", "signed_float", "log_float", "int_round",
                                  "power_of_two_ceil", "power_of_two_floor", "power_of_two_round"},
                                 "float");
  if (word == "signed_float") return SignedFloat{};
  if (word == "int_round") return WholeNumber{};
  if (word == "log_float") return LogFloat{};
  if (word == "power_of_two_ceil") return PowerOfTwo{PowerRounding::kCeil};
  if (word == "power_of_two_floor") return PowerOfTwo{PowerRounding::kFloor};
  if (word == "power_of_two_round") return PowerOfTwo{PowerRounding::kNearest};
  return AnyFloat{};
}

double read_bits(Options& options) { return options.number("bits", 1, 32); }

IntFormat make_format(double bits, bool is_signed, bool narrow_range) {
  return {static_cast<int64_t>(std::ceil(bits)), is_signed, narrow_range};
}

MinifloatFormat read_minifloat(Options& options) {
  MinifloatFormat format;  // of 8 bits where the case does not say it
  if (options.has("exponent_bits")) format.exponent_bits = options.whole("exponent_bits", 1, 8);
  if (options.has("mantissa_bits")) format.mantissa_bits = options.whole("mantissa_bits", 0, 14);
  const auto family = options.word("element_family", {"plain", "ocp", "fnuz"}, "ocp");
  if (family == "fnuz") {
    format.exponent_bias = int64_t{1} << (format.exponent_bits - 1);
    format.specials = FloatSpecials::kNegativeZero;
  }
  if (family == "ocp") {
    if (format.exponent_bits == 4) format.specials = FloatSpecials::kNan;
    if (format.exponent_bits == 5) format.specials = FloatSpecials::kIeee;
  }
  return format;
}

namespace {

const std::vector<std::string>& statistic_words() {
  static const std::vector<std::string> words = {
      "absmax",      "signed_absmax",  "min_max_interval",    "percentile",     "abs_percentile",
      "abs_average", "absmax_average", "percentile_interval", "mean_sigma_std", "mse",
      "hqo"};
  return words;
}

Statistic searched_statistic(Options& options, const std::string& word) {
  if (word == "hqo") return HalfQuadratic{};
  return Mse{options.has("mse_grid_points") ? options.whole("mse_grid_points", 2, 10000)
                                            : Mse{}.grid_points};
}

}  // namespace

Statistic read_statistic(Options& options) {
  const auto word = options.word("scale_stat", statistic_words());
  if (word == "absmax") return AbsMax{};
  if (word == "signed_absmax") return SignedAbsMax{};
  if (word == "min_max_interval") return MinMax{.include_zero = false};
  if (word == "percentile" || word == "abs_percentile")
    return Percentile{options.number("percentile", 0, 100)};
  if (word == "percentile_interval") {
    return PercentileInterval{options.number("percentile_low", 0, 100, PercentileInterval{}.low),
                              options.number("percentile_high", 0, 100, PercentileInterval{}.high)};
  }
  if (word == "abs_average") return AbsAverage{};
  if (word == "absmax_average") return AbsMaxAverage{};
  if (word == "mean_sigma_std")
    return MeanSigma{options.number("sigma", 0, 1e6, MeanSigma{}.sigma)};
  return searched_statistic(options, word);
}

ZeroPoint read_zero_point(Options& options) {
  const auto word = options.word("zero_point", {"none", "integer", "float"}, "none");
  if (word == "integer") return IntegerZeroPoint{};
  if (word == "float") return FloatZeroPoint{};
  return NoZeroPoint{};
}

std::string read_layer(Options& options) {
  return options.word("layer",
                      {"linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
                       "conv_transpose2d", "conv_transpose3d"},
                      "linear");
}

bool is_transposed(const std::string& layer) { return layer.rfind("conv_transpose", 0) == 0; }

Granularity read_granularity(Options& options, const std::string& layer) {
  const auto word = options.word("granularity", {"tensor", "channel", "group"});
  // The weight of a transposed convolution is [in, out, ...].
  const int64_t output = is_transposed(layer) ? 1 : 0;
  if (word == "channel") return PerChannel{output};
  if (word == "tensor") return PerTensor{};
  return PerGroup{1 - output, options.whole("group_size", 1, 1 << 20), /*pad=*/true};
}

void count_channels_of(Scale& scale, int64_t axis) {
  std::visit(
      [&](auto& kind) {
        if constexpr (has_statistic<decltype(kind)>) {
          if (auto* average = std::get_if<AbsMaxAverage>(&kind.statistic)) average->axis = axis;
          if (auto* root = std::get_if<AbsMaxL2>(&kind.statistic)) root->axis = axis;
        }
      },
      scale);
}

Format read_format(Options& options) {
  const auto family = options.word("format", {"int", "mxint", "float", "mxfloat"}, "int");
  const auto elements = options.word("element_family", {"int", "plain", "ocp", "fnuz"}, "int");
  if (family.ends_with("float") || elements != "int") return read_minifloat(options);
  const auto zero_point = options.word("zero_point", {"none", "integer", "float"}, "none");
  return make_format(read_bits(options), options.flag("signed", zero_point == "none"),
                     options.flag("narrow_range", false));
}

void add_format_outputs(const std::string& prefix, const Format& format, Answer& answer) {
  const auto number = [&](const char* name, int64_t value) {
    answer.outputs[prefix + name] = at::full({}, static_cast<double>(value));
  };
  const auto* minifloat = std::get_if<MinifloatFormat>(&format);
  if (minifloat == nullptr) return number("bit_width", stored_bits(format));
  number("exponent_bit_width", minifloat->exponent_bits);
  number("mantissa_bit_width", minifloat->mantissa_bits);
  number("exponent_bias", limits(*minifloat).bias);
}

Threshold threshold_of(const Format& format, const Restriction& restriction, Options& options) {
  const auto word = options.word("threshold_restrict", {"float", "power_of_two_floor"}, "float");
  if (std::holds_alternative<MinifloatFormat>(format))
    return word == "float" ? Threshold::kLargestCode : Threshold::kLargestPower;
  return std::holds_alternative<PowerOfTwo>(restriction) ? Threshold::kPowerOfTwo
                                                         : Threshold::kFullRange;
}

}  // namespace laconic::golden
