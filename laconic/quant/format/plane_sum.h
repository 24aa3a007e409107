#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "laconic/quant/format/element.h"

namespace laconic {

/// The numbers of one plane.
enum class Plane {
  kBinary,   ///< -1, 1 (codes 0, 1)
  kTernary,  ///< -1, 0, 1 (codes 0, 1, 2)
};

/// A sum of planes of signs, each with scales of its own. The code has the bits of the first plane
/// lowest. The scales of the planes after the first are kept beside its own
/// (QuantParameters::plane_scales), so only whole quantizers (quantizer/quantize.h) turn numbers
/// into codes and back: elements_of_real, encode and decode refuse this format.
struct PlaneSumFormat {
  static constexpr std::string_view kName = "planes";
  int64_t planes = 2;            ///< 2 to 4
  Plane plane = Plane::kBinary;  ///< of all of them
  int64_t rounds = 0;            ///< in which scales are found anew (PlanesSpec)
  bool operator==(const PlaneSumFormat&) const = default;
};

/// Bits of one plane's code.
int64_t plane_bits(const PlaneSumFormat& format);

// The functions of a format: see format.h.
void check_format_kind(const PlaneSumFormat& format);
std::string describe_format(const PlaneSumFormat& format);
std::vector<double> format_values(const PlaneSumFormat& format);  ///< where all scales are 1
int64_t format_bits(const PlaneSumFormat& format);
at::Tensor format_elements(const PlaneSumFormat& format, const at::Tensor& real,
                           const ElementRule& rule);
at::Tensor format_codes(const PlaneSumFormat& format, const at::Tensor& elements);

}  // namespace laconic
