#pragma once

#include <ATen/core/ATen_fwd.h>
#include <c10/core/ScalarType.h>

#include <string_view>
#include <variant>

#include "laconic/base/boxed.h"
#include "laconic/quant/custom/custom.h"

namespace laconic {

struct QuantSpec;

/// Any positive float.
struct AnyFloat {
  static constexpr std::string_view kName = "float";
  bool operator==(const AnyFloat&) const = default;
};

/// Any float, negative too.
struct SignedFloat {
  static constexpr std::string_view kName = "signed_float";
  bool operator==(const SignedFloat&) const = default;
};

/// Any positive float; a learned value is kept as its logarithm to base 2.
struct LogFloat {
  static constexpr std::string_view kName = "log_float";
  bool operator==(const LogFloat&) const = default;
};

enum class PowerRounding { kNearest, kCeil, kFloor };

/// 2^k, k the logarithm rounded as told; a learned value is kept as its logarithm.
struct PowerOfTwo {
  static constexpr std::string_view kName = "power_of_two";
  PowerRounding rounding = PowerRounding::kCeil;
  bool operator==(const PowerOfTwo&) const = default;
};

/// Only scales that this dtype holds (float16, bfloat16): what a file stores is what was solved.
struct StoredAs {
  static constexpr std::string_view kName = "stored_as";
  c10::ScalarType dtype = c10::ScalarType::Half;
  bool operator==(const StoredAs&) const = default;
};

/// Only scales that another quantizer gives: scales of scales, to any depth (MX, NVFP4,
/// super-blocks). That quantizer sees the scales as a tensor without the dimensions that share one
/// ([out, groups] for groups of a weight), after division by the threshold; a scale that it would
/// round to 0 becomes its smallest number above. The quantizer/ folder applies it.
struct QuantizedBy {
  static constexpr std::string_view kName = "quantized_by";
  Boxed<QuantSpec> quantizer = {};
  bool operator==(const QuantizedBy&) const = default;
};

/// Whole numbers of real units; 0 becomes the minimum of the scale. A learned value is kept as it
/// is.
struct WholeNumber {
  static constexpr std::string_view kName = "whole";
  bool operator==(const WholeNumber&) const = default;
};

/// Multiples of 2^-fraction_bits, at least one of them: scales in fixed point.
struct FixedPoint {
  static constexpr std::string_view kName = "fixed_point";
  int64_t fraction_bits = 8;
  bool operator==(const FixedPoint&) const = default;
};

/// m / 2^k with a whole m of `multiplier_bits` bits, its top bit set, and any whole k: what an
/// integer multiply and a shift can apply (HAWQ-V3, arXiv:2011.10680).
struct Dyadic {
  static constexpr std::string_view kName = "dyadic";
  int64_t multiplier_bits = 16;
  bool operator==(const Dyadic&) const = default;
};

/// A restriction of a user's own: final scales, real units a code, > 0 -> the nearest ones that it
/// allows, > 0. The gradient passes straight through whatever it does.
struct RestrictionKind {
  static constexpr std::string_view kWord = "restriction";
  using Function = at::Tensor(const CustomParameters& parameters, const at::Tensor& scale);
};
using CustomRestriction = Custom<RestrictionKind>;

using Restriction = std::variant<AnyFloat, SignedFloat, LogFloat, PowerOfTwo, StoredAs, QuantizedBy,
                                 WholeNumber, FixedPoint, Dyadic, CustomRestriction>;

/// A statistic (real units, > 0 but for SignedFloat) -> the domain in which a learned parameter is
/// kept.
at::Tensor to_stored_domain(const Restriction& restriction, const at::Tensor& value);
/// Back to real units, restricted, with a straight-through gradient where it rounds.
at::Tensor from_stored_domain(const Restriction& restriction, const at::Tensor& stored);

/// A statistic, restricted: as the two above, one after the other, but exact. Powers of two are
/// read off the number, since a logarithm near a whole number may be rounded to it.
at::Tensor restrict_statistic(const Restriction& restriction, const at::Tensor& value);

/// The nearest scale that the restriction allows; never 0 or infinite for StoredAs (the smallest or
/// largest normal number of the dtype instead). Applied to the final scale, after division by the
/// threshold. QuantizedBy is not answered here: the scale is given back as it is.
at::Tensor restrict_final(const Restriction& restriction, const at::Tensor& scale);

/// @throws c10::ValueError for fraction bits outside 0..126 or multiplier bits outside 1..24.
void check_restriction(const Restriction& restriction);

}  // namespace laconic
