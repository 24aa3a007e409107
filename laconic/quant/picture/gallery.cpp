#include "laconic/quant/picture/gallery.h"

namespace laconic {
namespace {

constexpr const char* kFormats[][2] = {
    {"format-int", "{bits: 3}"},
    {"format-int-narrow", "{bits: 3, narrow_range: true}"},
    {"format-uint", "{bits: 3, signed: false, statistic: min_max, zero_point: integer}"},
    {"format-binary", "{format: binary, statistic: abs_average}"},
    {"format-ternary", "{format: ternary}"},
    {"format-e4m3", "{format: e4m3}"},
    {"format-e2m1", "{format: e2m1}"},
    {"format-e3m2", "{format: e3m2}"},
    {"format-minifloat", "{format: minifloat, exponent_bits: 3, mantissa_bits: 0}"},
    {"format-nf4", "{format: nf4}"},
    {"format-fp4", "{format: fp4}"},
    {"format-af4", "{format: af4}"},
    {"format-table", "{format: table, values: [-1, -0.2, 0, 0.2, 1]}"},
    {"format-power_sum", "{format: power_sum, bits: 4}"},
    {"format-power_sum-two_terms", "{format: power_sum, bits: 5, terms: 2}"},
    {"format-power_sum-root", "{format: power_sum, bits: 4, root: 2}"},
    {"format-mxfp4",
     "{format: e2m1, granularity: group, group_size: 32, restriction: power_of_two, "
     "power_rounding: floor, threshold: largest_power}"},
    {"format-nvfp4",
     "{format: e2m1, granularity: group, group_size: 16, restriction: quantized_by, "
     "scale_quantizer: {format: e4m3}}"}};

constexpr const char* kScales[][2] = {
    {"granularity-group", "{bits: 3, granularity: group, group_size: 256}"},
    {"statistic-absmax", "{bits: 3, statistic: absmax}"},
    {"statistic-percentile", "{bits: 3, statistic: percentile, percentile: 90}"},
    {"statistic-abs_average", "{bits: 3, statistic: abs_average}"},
    {"statistic-mean_sigma_std", "{bits: 3, statistic: mean_sigma_std}"},
    {"statistic-mse", "{bits: 3, statistic: mse}"},
    {"statistic-hqo", "{bits: 3, statistic: hqo}"},
    {"restriction-power_of_two", "{bits: 3, restriction: power_of_two, power_rounding: ceil}"},
    {"threshold-full_range", "{bits: 3, threshold: full_range}"},
    {"zero_point-integer", "{bits: 3, statistic: min_max, zero_point: integer}"},
    {"zero_point-float", "{bits: 3, statistic: min_max, zero_point: float}"}};

constexpr const char* kRoundings[] = {"half_even", "half_away",  "ceil", "floor",  "toward_zero",
                                      "dpu",       "stochastic", "tanh", "fourier"};
constexpr const char* kGradients[] = {"straight_through", "clipped",   "pact", "lsq",
                                      "magnitude_aware",  "trust_mask"};

std::vector<Illustration> make_illustrations() {
  std::vector<Illustration> all;
  for (const auto& [name, yaml] : kFormats) all.push_back({name, yaml});
  for (const auto& [name, yaml] : kScales) all.push_back({name, yaml});
  for (const std::string word : kRoundings)
    all.push_back({"rounding-" + word, "{bits: 3, rounding: " + word + "}"});
  for (const std::string word : kGradients)  // the scale is too small for the numbers: they clip
    all.push_back(
        {"gradient-" + word, "{bits: 3, scale: constant, value: 0.5, gradient: " + word + "}"});
  return all;
}

}  // namespace

const std::vector<Illustration>& illustrations() {
  static const std::vector<Illustration> all = make_illustrations();
  return all;
}

}  // namespace laconic
