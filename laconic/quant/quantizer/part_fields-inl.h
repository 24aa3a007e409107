#pragma once

#include <type_traits>

#include "laconic/quant/quantizer/quant_spec.h"

namespace laconic {

// The fields of every part: one list serves printing and reading.
void visit_scale_fields(auto& part, auto&& field) {
  using Part = std::remove_cvref_t<decltype(part)>;
  if constexpr (std::is_same_v<Part, ConstantScale>) {
    field("value", part.value);
  } else if constexpr (std::is_same_v<Part, RunningScale>) {
    field("momentum", part.momentum);
  } else if constexpr (std::is_same_v<Part, LearnedScale>) {
    field("collect_steps", part.collect_steps), field("momentum", part.momentum);
  } else if constexpr (std::is_same_v<Part, WeightNormScale>) {
    field("norm_minimum", part.minimum);
  } else if constexpr (std::is_same_v<Part, AccumulatorScale>) {
    field("accumulator_bits", part.accumulator_bits), field("input_bits", part.input_bits),
        field("input_signed", part.input_signed), field("zero_centered", part.zero_centered),
        field("norm_minimum", part.minimum);
  } else if constexpr (std::is_same_v<Part, LowPercentile>) {
    field("zero_point_percentile", part.q);
  } else if constexpr (std::is_same_v<Part, MseMinimum>) {
    field("zero_point_grid_points", part.grid_points);
  } else if constexpr (std::is_same_v<Part, HalfQuadraticMinimum>) {
    field("zero_point_iterations", part.iterations), field("zero_point_p", part.p),
        field("zero_point_beta", part.beta), field("zero_point_kappa", part.kappa);
  } else if constexpr (std::is_same_v<Part, LearnedBits>) {
    field("minimum_bits", part.minimum_bits);
  }
}

void visit_code_fields(auto& part, auto&& field) {
  using Part = std::remove_cvref_t<decltype(part)>;
  if constexpr (std::is_same_v<Part, Stochastic>) {
    field("seed", part.seed), field("only_in_training", part.only_in_training);
  } else if constexpr (std::is_same_v<Part, GaussianNoise>) {
    field("seed", part.seed);
  } else if constexpr (std::is_same_v<Part, LearnedHardSigmoid>) {
    field("stretch_low", part.stretch_low), field("stretch_high", part.stretch_high);
  } else if constexpr (std::is_same_v<Part, LearnedSigmoid>) {
    field("temperature", part.temperature);
  } else if constexpr (std::is_same_v<Part, TanhSurrogate>) {
    field("sharpness", part.sharpness);
  } else if constexpr (std::is_same_v<Part, FourierSurrogate>) {
    field("amplitude", part.amplitude);
  } else if constexpr (std::is_same_v<Part, TrustMask>) {
    field("trust", part.trust);
  } else if constexpr (is_custom<Part>) {
    for (auto& [name, value] : part.parameters) field(name.c_str(), value);
  }
}

void visit_fields(auto& part, auto&& field) {
  using Part = std::remove_cvref_t<decltype(part)>;
  if constexpr (std::is_same_v<Part, IntFormat>) {
    field("bits", part.bit_width), field("signed", part.is_signed),
        field("narrow_range", part.narrow_range);
  } else if constexpr (std::is_same_v<Part, TernaryFormat>) {
    field("ternary_threshold", part.threshold);
  } else if constexpr (std::is_same_v<Part, MinifloatFormat>) {
    field("exponent_bits", part.exponent_bits), field("mantissa_bits", part.mantissa_bits),
        field("exponent_bias", part.exponent_bias), field("specials", part.specials),
        field("saturating", part.saturating), field("signed", part.is_signed),
        field("subnormals", part.subnormals);
  } else if constexpr (std::is_same_v<Part, TableFormat>) {
    field("values", part.values);
  } else if constexpr (std::is_same_v<Part, ChoiceFormat>) {
    field("tables", part.tables);
  } else if constexpr (std::is_same_v<Part, PlaneSumFormat>) {
    field("planes", part.planes), field("plane", part.plane), field("plane_rounds", part.rounds);
  } else if constexpr (std::is_same_v<Part, PowerSumFormat>) {
    field("bits", part.bit_width), field("terms", part.terms), field("root", part.root);
  } else if constexpr (std::is_same_v<Part, PerChannel>) {
    field("axis", part.axis);
  } else if constexpr (std::is_same_v<Part, PerGroup>) {
    field("axis", part.axis), field("group_size", part.group_size), field("pad", part.pad);
  } else if constexpr (std::is_same_v<Part, PerBlock>) {
    field("block_rows", part.rows), field("block_columns", part.columns), field("pad", part.pad);
  } else if constexpr (std::is_same_v<Part, PerHead>) {
    field("axis", part.axis), field("heads", part.heads), field("per_token", part.per_token);
  } else if constexpr (std::is_same_v<Part, AbsMaxAverage> || std::is_same_v<Part, AbsMaxL2>) {
    field("channel_axis", part.axis);
  } else if constexpr (std::is_same_v<Part, MinMax>) {
    field("include_zero", part.include_zero);
  } else if constexpr (std::is_same_v<Part, Percentile>) {
    field("percentile", part.q);
  } else if constexpr (std::is_same_v<Part, PercentileInterval>) {
    field("percentile_low", part.low), field("percentile_high", part.high);
  } else if constexpr (std::is_same_v<Part, MeanSigma>) {
    field("sigma", part.sigma);
  } else if constexpr (std::is_same_v<Part, Mse>) {
    field("grid_points", part.grid_points), field("search_method", part.method);
  } else if constexpr (std::is_same_v<Part, KlDivergence>) {
    field("bins", part.bins), field("smoothing", part.smoothing);
  } else if constexpr (std::is_same_v<Part, GivenRange>) {
    field("range", part.range);
  } else if constexpr (std::is_same_v<Part, HalfQuadratic>) {
    field("iterations", part.iterations), field("p", part.p), field("beta", part.beta),
        field("kappa", part.kappa);
  } else if constexpr (std::is_same_v<Part, PowerOfTwo>) {
    field("power_rounding", part.rounding);
  } else if constexpr (std::is_same_v<Part, StoredAs>) {
    field("stored_dtype", part.dtype);
  } else if constexpr (std::is_same_v<Part, FixedPoint>) {
    field("fraction_bits", part.fraction_bits);
  } else if constexpr (std::is_same_v<Part, Dyadic>) {
    field("multiplier_bits", part.multiplier_bits);
  } else if constexpr (std::is_same_v<Part, QuantizedBy>) {
    field("scale_quantizer", part.quantizer);
  } else if constexpr (std::is_same_v<Part, QuantizedMinimum>) {
    field("minimum_quantizer", part.quantizer);
  } else {
    visit_scale_fields(part, field);
    visit_code_fields(part, field);
  }
}

}  // namespace laconic
