// What scales and zero points give back to the extremes that they were found of: beside
// element_math-inl.h, included after it under the same rules, and like it operation for operation
// what differentiating the formula gives.

/// Slope of a scale to the statistic that it was found of. A scale that is a power of two follows
/// its logarithm.
template <class O>
LACONIC_MATH typename O::F slope_of_range(typename O::F scale, typename O::F statistic,
                                          const RangeRule& rule) {
  switch (rule.restriction) {
    case ScaleRestriction::kAny:
    case ScaleRestriction::kHalf:
    case ScaleRestriction::kBfloat16:
      break;
    case ScaleRestriction::kPowerFloor:
    case ScaleRestriction::kPowerCeil:
    case ScaleRestriction::kPowerNearest:
    case ScaleRestriction::kE8m0Floor:
    case ScaleRestriction::kE8m0Ceil:
    case ScaleRestriction::kE8m0Nearest: {
      const auto minimum = O::set(rule.minimum);
      return O::div(scale, O::select(O::greater(minimum, statistic), minimum, statistic));
    }
  }
  return O::set(1 / rule.threshold);
}

/// The numbers of a scale and their gradients; no zero point: 0.
template <class O>
struct NumbersOfRange {
  typename O::F scale, of_scale, of_zero_point;
};

/// Gradients of the extremes of a scale, each that of all elements that equal it.
template <class O>
struct ExtremeGradients {
  typename O::F low, high;
};

/// Of scale and zero point by MinMax, in any rule of them. is_clipped: none flows through a zero
/// point that was clamped to the grid.
template <class O, bool kZero>
LACONIC_MATH ExtremeGradients<O> gradients_of_range(typename O::F low, typename O::F high,
                                                    const NumbersOfRange<O>& numbers,
                                                    const RangeRule& rule, const ElementGrid& grid,
                                                    bool is_clipped) {
  const auto zero = O::set(0.0F);
  const bool has_zero = rule.statistic == RangeStatistic::kMinMax;
  const auto minimum = O::select(O::greater(low, zero), zero, low);
  const auto top = has_zero ? O::select(O::greater(zero, high), zero, high) : high;
  auto of_scale = numbers.of_scale, of_minimum = zero;
  if constexpr (kZero) {
    const auto units = O::div(O::sub(O::set(-0.0F), minimum), numbers.scale);
    auto passed = numbers.of_zero_point;
    if (is_clipped && rule.zero_point == ZeroRule::kInteger) {
      const auto lowest = O::set(grid.low), whole = O::round(O::add(units, lowest));
      const auto kept = O::clamped(whole, lowest, O::set(grid.high));
      passed = O::select(O::greater(O::absolute(O::sub(kept, whole)), zero), zero, passed);
    }
    of_scale = O::sub(of_scale, O::mul(passed, O::div(units, numbers.scale)));
    of_minimum = O::sub(zero, O::div(passed, numbers.scale));
  }
  const auto span = O::sub(top, minimum);
  const auto of_span = O::mul(of_scale, slope_of_range<O>(numbers.scale, O::absolute(span), rule));
  const auto of_top = O::select(O::greater(span, zero), of_span,
                                O::select(O::greater(zero, span), O::sub(zero, of_span), zero));
  of_minimum = O::sub(of_minimum, of_top);
  return {O::select(O::greater(low, zero), zero, of_minimum),
          has_zero ? O::select(O::greater(zero, high), zero, of_top) : of_top};
}

/// What a scale that became a number of a grid gives back to what it was before, and its share of
/// the gradient of the one scale of all scales.
template <class O>
LACONIC_MATH ElementGradient<O> gradient_of_coded_scale(typename O::F real, typename O::F gradient,
                                                        const CodedScaleGradient& codes) {
  const RunScale<O> run = run_scale<O>(*codes.scale, 0);
  const GridOf<O> grid = grid_numbers<O>(codes.grid);
  return codes.grid.kind == GridKind::kInteger ? gradient_of<O, GridKind::kInteger, false>(
                                                     real, gradient, run, grid, codes.is_clipped)
                                               : gradient_of<O, GridKind::kMinifloat, false>(
                                                     real, gradient, run, grid, codes.is_clipped);
}
