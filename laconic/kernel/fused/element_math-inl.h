// The arithmetic of the fused quantizers, once for vectors and scalars, CPU and CUDA. Not a header
// of its own: each user includes it inside a namespace, after LACONIC_MATH (how a function is
// declared) and a struct of operations `O`: O::F floats, O::I integers of 32 bits, O::M masks. All
// results are those of correctly rounded single operations: nothing may be contracted or reordered.

/// The power of two of each number: 2^floor(log2 |x|); 0 for denormals, infinity for what is none.
template <class O>
LACONIC_MATH typename O::F power_of(typename O::F x) {
  return O::floats(O::bit_and(O::bits(x), O::whole(0x7F800000)));
}

/// x to the nearest number, half to even, whose step is `relative_step` of its own power of two,
/// which counts as `lowest` at least; |x| < 2^101. Nothing in between is inexact. What rounds to 0
/// becomes +0.
template <class O>
LACONIC_MATH typename O::F rounded_float(typename O::F x, float lowest, float relative_step) {
  const auto own = O::bit_and(O::bits(x), O::whole(0x7F800000));
  const auto power = O::floats(O::max_whole(own, O::bits(O::set(lowest))));
  const auto far = O::mul(power, O::set(0x1.8p23F * relative_step));
  return O::sub(O::add(x, far), far);
}

/// An ElementGrid in registers.
template <class F, class I>
struct GridNumbers {
  F low, high;
  float lowest_power, relative_step;
  I sign_kept;  ///< bits of small negative numbers that stay when they become 0
};
template <class O>
using GridOf = GridNumbers<typename O::F, typename O::I>;

template <class O>
LACONIC_MATH GridOf<O> grid_numbers(const ElementGrid& grid) {
  return {O::set(grid.low), O::set(grid.high), grid.lowest_power, grid.relative_step,
          O::whole(grid.has_negative_zero ? INT32_MIN : 0)};
}

/// The nearest number of a minifloat grid as if it had no ends, |x| < 2^101.
template <class O>
LACONIC_MATH typename O::F minifloat_element(typename O::F x, const GridOf<O>& grid) {
  const auto rounded = rounded_float<O>(x, grid.lowest_power, grid.relative_step);
  return O::floats(O::bit_or(O::bits(rounded), O::bit_and(O::bits(x), grid.sign_kept)));
}

/// The nearest number of the grid: of a real number in units of the scale.
template <class O, GridKind kGrid>
LACONIC_MATH typename O::F nearest_element(typename O::F x, const GridOf<O>& grid) {
  // The ends are elements, so it is the same before and after rounding; a minifloat needs it
  // before.
  if constexpr (kGrid == GridKind::kMinifloat)
    return minifloat_element<O>(O::clamped(x, grid.low, grid.high), grid);
  return O::clamped(O::round(x), grid.low, grid.high);
}

/// The nearest number of a grid as if it had no ends, and what a gradient is multiplied by on its
/// way from there to the real number. The step of a minifloat grows with the number: element /
/// number; below its normal numbers 1.
template <class O>
struct EndlessElement {
  typename O::F element, slope;
};
template <class O, GridKind kGrid>
LACONIC_MATH EndlessElement<O> endless_element(typename O::F real, const GridOf<O>& grid) {
  const auto one = O::set(1.0F);
  if constexpr (kGrid == GridKind::kInteger) return {O::round(real), one};
  // So far beyond the ends that rounding would overflow only the slope counts, which is that of a
  // smaller number.
  const auto is_huge = O::greater(O::absolute(real), O::set(0x1p100F));
  const auto x = O::select(is_huge, O::mul(real, O::set(0x1p-28F)), real);
  const auto element = minifloat_element<O>(x, grid);
  const auto size = O::absolute(x), infinity = O::floats(O::whole(0x7F800000));
  const auto ratio = O::select(O::greater(infinity, size), O::div(element, x), one);
  return {O::select(is_huge, real, element),
          O::select(O::greater(O::set(grid.lowest_power), size), one, ratio)};
}

/// What belongs to one run, in every lane.
template <class O>
struct RunScale {
  typename O::F scale, zero_point;
  typename O::Divisor divisor;  ///< of `scale`
};

template <class O>
LACONIC_MATH RunScale<O> run_scale(float scale, float zero_point) {
  return {O::set(scale), O::set(zero_point), O::divisor(scale)};
}

template <class O, GridKind kGrid, bool kZero>
LACONIC_MATH typename O::F element_of(typename O::F x, const RunScale<O>& run,
                                      const GridOf<O>& grid) {
  auto real = O::divide(x, run.divisor);
  if constexpr (kZero) real = O::add(real, run.zero_point);
  return nearest_element<O, kGrid>(real, grid);
}

template <class O, bool kZero>
LACONIC_MATH typename O::F value_of(typename O::F element, const RunScale<O>& run) {
  if constexpr (kZero) element = O::sub(element, run.zero_point);
  return O::mul(element, run.scale);
}

/// A positive scale as the nearest number of its grid.
template <class O>
LACONIC_MATH typename O::F coded_scale(typename O::F scale, const ScaleCodes& codes) {
  const RunScale<O> run = run_scale<O>(*codes.scale, 0);
  const GridOf<O> grid = grid_numbers<O>(codes.grid);
  return value_of<O, false>(codes.grid.kind == GridKind::kInteger
                                ? element_of<O, GridKind::kInteger, false>(scale, run, grid)
                                : element_of<O, GridKind::kMinifloat, false>(scale, run, grid),
                            run);
}

/// What one element gives back: the gradients of its input, and its share of those of scale and
/// zero point. Operation for operation what differentiating the formula gives.
template <class O>
struct ElementGradient {
  typename O::F input, scale, zero_point;
};
template <class O, GridKind kGrid, bool kZero>
LACONIC_MATH ElementGradient<O> gradient_of(typename O::F x, typename O::F gradient,
                                            const RunScale<O>& run, const GridOf<O>& grid,
                                            bool is_clipped) {
  const auto quotient = O::divide(x, run.divisor);
  auto real = quotient;
  if constexpr (kZero) real = O::add(real, run.zero_point);
  const auto [endless, slope] = endless_element<O, kGrid>(real, grid);
  auto units = O::clamped(endless, grid.low, grid.high);
  const auto changed = O::greater(O::absolute(O::sub(units, endless)), O::set(0.0F));
  if constexpr (kZero) units = O::sub(units, run.zero_point);
  const auto of_element = O::mul(gradient, run.scale);
  const auto sloped = kGrid == GridKind::kMinifloat ? O::mul(of_element, slope) : of_element;
  const auto passed = is_clipped ? O::select(changed, O::set(0.0F), sloped) : sloped;
  const auto direct = O::mul(gradient, units);
  const auto through = O::mul(passed, O::divide(quotient, run.divisor));
  return {O::divide(passed, run.divisor), O::sub(direct, through), O::sub(passed, of_element)};
}

/// Integers in the order of the floats; its own inverse. NaN is beyond the infinities.
template <class O>
LACONIC_MATH typename O::I ordered_key(typename O::I bits) {
  return O::bit_xor(bits, O::bit_and(O::sign_everywhere(bits), O::whole(0x7FFFFFFF)));
}

template <class O>
LACONIC_MATH typename O::I magnitude_bits(typename O::F x) {
  return O::bit_and(O::bits(x), O::whole(0x7FFFFFFF));
}

/// What to add to the bits of a number, so that its exponent becomes that of the power.
constexpr LACONIC_MATH int32_t bits_to_power(ScaleRestriction restriction) {
  switch (restriction) {
    case ScaleRestriction::kAny:
    case ScaleRestriction::kPowerFloor:
    case ScaleRestriction::kE8m0Floor:
    case ScaleRestriction::kHalf:
    case ScaleRestriction::kBfloat16:
      return 0;
    case ScaleRestriction::kPowerCeil:
    case ScaleRestriction::kE8m0Ceil:
      return 0x007FFFFF;
    case ScaleRestriction::kPowerNearest:
      return 0x00800000 - 0x003504F4;  // sqrt(2) = 1.41421356...: mantissas from here on are above
    case ScaleRestriction::kE8m0Nearest:
      return 0x00400000;  // 1.5 goes up: half to even
  }
  return 0;
}

/// A positive normal number as the power of two that the restriction names. Exact: no logarithm.
template <class O>
LACONIC_MATH typename O::F restricted_power(typename O::F x, ScaleRestriction restriction) {
  return power_of<O>(O::floats(O::plus(O::bits(x), O::whole(bits_to_power(restriction)))));
}

/// What half-precision floats hold of a scale, as far as they are normal numbers.
template <class O>
LACONIC_MATH typename O::F stored_scale(typename O::F x, ScaleRestriction restriction) {
  if (restriction == ScaleRestriction::kHalf)
    return rounded_float<O>(O::clamped(x, O::set(0x1p-14F), O::set(65504.0F)), 0x1p-14F, 0x1p-10F);
  // The mantissa of bfloat16 on the bits: its numbers reach beyond rounded_float.
  const auto bits = O::bits(O::clamped(x, O::set(0x1p-126F), O::set(0x1.FEp127F)));
  const auto odd = O::bit_and(O::template shift_right<16>(bits), O::whole(1));
  return O::floats(
      O::bit_and(O::plus(bits, O::plus(odd, O::whole(0x7FFF))), O::whole(int32_t(0xFFFF0000))));
}

/// Scale of a statistic >= 0.
template <class O>
LACONIC_MATH typename O::F scale_of_range(typename O::F statistic, const RangeRule& rule) {
  const auto minimum = O::set(rule.minimum), threshold = O::set(rule.threshold);
  auto range = O::select(O::greater(minimum, statistic), minimum, statistic);
  switch (rule.restriction) {
    case ScaleRestriction::kPowerFloor:
    case ScaleRestriction::kPowerCeil:
    case ScaleRestriction::kPowerNearest:
      return O::div(restricted_power<O>(range, rule.restriction), threshold);
    case ScaleRestriction::kE8m0Floor:
    case ScaleRestriction::kE8m0Ceil:
    case ScaleRestriction::kE8m0Nearest: {
      const auto power = restricted_power<O>(O::div(range, threshold), rule.restriction);
      const auto largest = O::set(0x1p127F);
      return O::select(O::greater(power, largest), largest, power);
    }
    case ScaleRestriction::kHalf:
    case ScaleRestriction::kBfloat16:
      return stored_scale<O>(O::div(range, threshold), rule.restriction);
    case ScaleRestriction::kAny:
      break;
  }
  return O::div(range, threshold);
}

template <class O>
LACONIC_MATH typename O::F zero_point_of(typename O::F minimum, typename O::F scale,
                                         const RangeRule& rule, const ElementGrid& grid) {
  const auto low = O::set(grid.low);
  const auto real = O::add(O::div(O::sub(O::set(-0.0F), minimum), scale), low);
  return rule.zero_point == ZeroRule::kInteger ? O::clamped(O::round(real), low, O::set(grid.high))
                                               : real;
}

/// Scale and zero point of the extremes of a run. @returns whether all numbers and the scale were
/// finite: the range of finite numbers may not be.
template <class O>
LACONIC_MATH typename O::M numbers_of_keys(typename O::I low_key, typename O::I high_key,
                                           typename O::I magnitude, const RangeRule& rule,
                                           const ElementGrid& grid, typename O::F& scale,
                                           typename O::F& zero_point) {
  const auto zero = O::set(0.0F);
  if (rule.statistic == RangeStatistic::kAbsMax) {
    scale = scale_of_range<O>(O::floats(magnitude), rule);
    zero_point = zero;
    const auto larger = O::max_whole(magnitude, magnitude_bits<O>(scale));
    return O::less_whole(larger, O::whole(0x7F800000));
  }
  const auto low = O::floats(ordered_key<O>(low_key)), high = O::floats(ordered_key<O>(high_key));
  const auto minimum = O::select(O::greater(low, zero), zero, low);
  const bool from_zero = rule.statistic == RangeStatistic::kMinMax;
  const auto top = from_zero ? O::select(O::greater(zero, high), zero, high) : high;
  scale = scale_of_range<O>(O::absolute(O::sub(top, minimum)), rule);
  zero_point = zero;
  if (rule.zero_point != ZeroRule::kNone) zero_point = zero_point_of<O>(minimum, scale, rule, grid);
  const auto wider = O::max_whole(magnitude_bits<O>(low), magnitude_bits<O>(high));
  return O::less_whole(O::max_whole(wider, magnitude_bits<O>(scale)), O::whole(0x7F800000));
}
