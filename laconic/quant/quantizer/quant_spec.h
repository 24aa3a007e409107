#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "laconic/quant/bit_width/bit_width.h"
#include "laconic/quant/format/format.h"
#include "laconic/quant/gradient/gradient.h"
#include "laconic/quant/granularity/granularity.h"
#include "laconic/quant/rounding/rounding.h"
#include "laconic/quant/scale/scale.h"
#include "laconic/quant/zero_point/zero_point.h"

namespace laconic {

struct QuantSpec;

/// @throws c10::ValueError naming both parts when parts of the spec contradict each other.
void check(const QuantSpec& spec);

/// What becomes of NaN and infinity.
enum class NonFinite {
  kRefuse,     ///< an error where a scale is found, with how many there are
  kPropagate,  ///< NaN, in themselves and where they decide a scale; codes are refused
};

/// Everything that is to be said about a quantizer; no tensors. Compares with ==, prints as one
/// line
/// (`to_string`) and as YAML (`quantizer/yaml.h`), and reads back.
struct QuantSpec {
  Format format = IntFormat{};
  Granularity granularity = PerTensor{};
  Scale scale = StatisticScale{};
  ZeroPoint zero_point = NoZeroPoint{};
  Rounding rounding = HalfEven{};
  Gradient gradient = StraightThrough{};
  RangeStart range_start = {};  ///< of a zero point
  BitWidth bit_width = FixedBits{};
  NonFinite non_finite = NonFinite::kRefuse;

  bool operator==(const QuantSpec&) const = default;

  /// A copy in which each given part replaces the one of its kind: `w8.let(IntFormat{.bit_width =
  /// 4}, Mse{})`. A statistic, a restriction or a threshold goes to the scale; a constant scale
  /// refuses them.
  template <typename... Parts>
  QuantSpec let(Parts&&... parts) const {
    QuantSpec changed = *this;
    (put_part(changed, std::forward<Parts>(parts)), ...);
    check(changed);
    return changed;
  }
};

// Puts one part in the place of its kind.
void put_part(QuantSpec& spec, const IntFormat& part);
void put_part(QuantSpec& spec, const Format& part);
void put_part(QuantSpec& spec, const Granularity& part);
void put_part(QuantSpec& spec, const Scale& part);
void put_part(QuantSpec& spec, const Statistic& part);
void put_part(QuantSpec& spec, const Restriction& part);
void put_part(QuantSpec& spec, Threshold part);
void put_part(QuantSpec& spec, const ZeroPoint& part);
void put_part(QuantSpec& spec, const Rounding& part);
void put_part(QuantSpec& spec, const Gradient& part);
void put_part(QuantSpec& spec, const Minimum& part);
void put_part(QuantSpec& spec, ZeroPointSource part);
void put_part(QuantSpec& spec, Affine part);
void put_part(QuantSpec& spec, const BitWidth& part);
void put_part(QuantSpec& spec, NonFinite part);

/// One readable line: "int4 symmetric, per group of 128 on axis 1, absmax, half_even".
std::string to_string(const QuantSpec& spec);

}  // namespace laconic
