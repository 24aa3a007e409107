#include "laconic/quant/restriction/restriction.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/exp2.h>
#include <ATen/ops/log2.h>

#include <cmath>
#include <limits>

#include "laconic/base/variant.h"
#include "laconic/kernel/straight_through.h"

namespace laconic {
namespace {

at::Tensor rounded_power(PowerRounding rounding, const at::Tensor& exponent) {
  const auto plain = exponent.detach();
  switch (rounding) {
    case PowerRounding::kNearest:
      return straight_through(exponent, plain.round());
    case PowerRounding::kCeil:
      return straight_through(exponent, plain.ceil());
    case PowerRounding::kFloor:
      return straight_through(exponent, plain.floor());
  }
  TORCH_CHECK_VALUE(false, "[PowerOfTwo] unknown rounding ", static_cast<int>(rounding), ".");
}

/// What to add to the bits of a float64, so that its exponent becomes that of the power.
int64_t bits_to_power(PowerRounding rounding) {
  constexpr int64_t kOne = int64_t{1} << 52;
  constexpr int64_t kAboveRootOfTwo = 0x6A09E667F3BCD;  // the least mantissa that is
  switch (rounding) {
    case PowerRounding::kNearest:
      return kOne - kAboveRootOfTwo;
    case PowerRounding::kCeil:
      return kOne - 1;
    case PowerRounding::kFloor:
      return 0;
  }
  TORCH_CHECK_VALUE(false, "[PowerOfTwo] unknown rounding ", static_cast<int>(rounding), ".");
}

/// 2^rounding(log2 x) of positive numbers; NaN and infinity become infinity.
at::Tensor nearby_power(PowerRounding rounding, const at::Tensor& x) {
  constexpr int64_t kExponent = int64_t{0x7FF} << 52;
  const auto plain = x.detach();
  const auto bits = plain.to(c10::ScalarType::Double).contiguous().view(c10::ScalarType::Long);
  const auto power = (bits + bits_to_power(rounding))
                         .bitwise_and(kExponent)
                         .view(c10::ScalarType::Double)
                         .to(x.scalar_type());
  return with_slope(x, power, power / plain);
}

at::Tensor as_stored(const StoredAs& kind, const at::Tensor& scale) {
  const bool half = kind.dtype == c10::ScalarType::Half;
  // Below the smallest normal number the relative error of the stored scale grows, so stop there.
  const double smallest = half ? 0x1p-14 : 0x1p-126, largest = half ? 65504.0 : 0x1.FEp127;
  const auto plain = scale.detach();
  const auto size = plain.abs().clamp(smallest, largest);
  const auto kept = size.to(kind.dtype).to(scale.scalar_type());
  return straight_through(scale, kept.where(plain.ge(0), kept.neg()));
}

// The sign and the gradient of `scale`; 0 counts as positive.
at::Tensor with_sign_of(const at::Tensor& scale, const at::Tensor& size) {
  return straight_through(scale, size.where(scale.detach().ge(0), size.neg()));
}

at::Tensor in_fixed_point(const FixedPoint& kind, const at::Tensor& scale) {
  const double step = std::ldexp(1.0, static_cast<int>(kind.fraction_bits));
  // In float64: a scale times a step of many bits is more than float32 holds.
  const auto wide = scale.detach().abs().to(c10::ScalarType::Double);
  const auto kept = (wide * step).round().clamp_min(1) / step;
  return with_sign_of(scale, kept.to(scale.scalar_type()));
}

// The significand rounded to its first bits, half to even, on the bits of the number: exact, and a
// carry goes into the exponent as it should.
at::Tensor dyadic(const Dyadic& kind, const at::Tensor& scale) {
  const bool wide = scale.scalar_type() == c10::ScalarType::Double;
  const auto plain =
      scale.detach().abs().to(wide ? c10::ScalarType::Double : c10::ScalarType::Float);
  const int64_t dropped = (wide ? 53 : 24) - kind.multiplier_bits;
  if (dropped == 0) return scale;
  const auto bits = plain.view(wide ? c10::ScalarType::Long : c10::ScalarType::Int);
  const int64_t unit = int64_t{1} << dropped;
  const auto odd = bits.bitwise_and(unit).div(unit, "trunc");
  const auto kept = (bits + odd + (unit / 2 - 1)).bitwise_and(-unit);
  return with_sign_of(scale, kept.view(plain.scalar_type()).to(scale.scalar_type()));
}

}  // namespace

at::Tensor to_stored_domain(const Restriction& restriction, const at::Tensor& value) {
  return std::visit(Overloaded{[&](const LogFloat&) { return value.log2(); },
                               [&](const PowerOfTwo&) { return value.log2(); },
                               [&](const auto&) { return value; }},
                    restriction);
}

at::Tensor from_stored_domain(const Restriction& restriction, const at::Tensor& stored) {
  return std::visit(
      Overloaded{
          [&](const AnyFloat&) { return magnitude(stored); },
          [&](const SignedFloat&) { return stored; },
          [&](const LogFloat&) { return at::exp2(stored); },
          [&](const PowerOfTwo& kind) { return at::exp2(rounded_power(kind.rounding, stored)); },
          [&](const QuantizedBy&) { return stored; },
          [&](const WholeNumber&) { return straight_through(stored, stored.detach().round()); },
          [&](const auto&) { return magnitude(stored); }},
      restriction);
}

at::Tensor restrict_statistic(const Restriction& restriction, const at::Tensor& value) {
  if (const auto* power = std::get_if<PowerOfTwo>(&restriction))
    return nearby_power(power->rounding, value);
  return from_stored_domain(restriction, to_stored_domain(restriction, value));
}

at::Tensor restrict_final(const Restriction& restriction, const at::Tensor& scale) {
  return std::visit(Overloaded{[&](const StoredAs& kind) { return as_stored(kind, scale); },
                               [&](const FixedPoint& kind) { return in_fixed_point(kind, scale); },
                               [&](const Dyadic& kind) { return dyadic(kind, scale); },
                               [&](const CustomRestriction& kind) {
                                 return straight_through(
                                     scale, kind.function(kind.parameters, scale.detach()));
                               },
                               [&](const auto&) { return scale; }},
                    restriction);
}

void check_restriction(const Restriction& restriction) {
  if (const auto* fixed = std::get_if<FixedPoint>(&restriction)) {
    TORCH_CHECK_VALUE(fixed->fraction_bits >= 0 && fixed->fraction_bits <= 126,
                      "[FixedPoint] fraction_bits: expected 0 to 126, got ", fixed->fraction_bits,
                      ".");
  }
  if (const auto* dyadic = std::get_if<Dyadic>(&restriction)) {
    TORCH_CHECK_VALUE(dyadic->multiplier_bits >= 1 && dyadic->multiplier_bits <= 24,
                      "[Dyadic] multiplier_bits: expected 1 to 24 (float32 holds no more), got ",
                      dyadic->multiplier_bits, ".");
  }
}

}  // namespace laconic
