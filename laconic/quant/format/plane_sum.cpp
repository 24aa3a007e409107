#include "laconic/quant/format/plane_sum.h"

#include <c10/util/Exception.h>

#include <algorithm>

namespace laconic {
namespace {

at::Tensor refuse_without_scales(const PlaneSumFormat& format) {
  TORCH_CHECK_NOT_IMPLEMENTED(false, "[format] ", describe_format(format),
                              ": what a code is worth hangs on the scales of all planes. Use a "
                              "whole quantizer (quantize_codes, dequantize), or a table.");
}

}  // namespace

int64_t plane_bits(const PlaneSumFormat& format) { return format.plane == Plane::kBinary ? 1 : 2; }

void check_format_kind(const PlaneSumFormat& format) {
  TORCH_CHECK_VALUE(format.planes >= 2 && format.planes <= 4,
                    "[format] planes: expected 2 to 4 planes, got ", format.planes, ".");
  TORCH_CHECK_VALUE(format.rounds >= 0, "[format] planes: expected plane_rounds of 0 or more, got ",
                    format.rounds, ".");
}

std::string describe_format(const PlaneSumFormat& format) {
  return std::to_string(format.planes) +
         (format.plane == Plane::kBinary ? " binary planes" : " ternary planes");
}

std::vector<double> format_values(const PlaneSumFormat& format) {
  const int64_t levels = format.plane == Plane::kBinary ? 2 : 3, bits = plane_bits(format);
  const double step = format.plane == Plane::kBinary ? 2 : 1;
  std::vector<double> values;
  for (int64_t code = 0; code < int64_t{1} << format_bits(format); ++code) {
    double sum = 0;
    for (int64_t i = 0; i < format.planes; ++i) {
      const int64_t own = (code >> (i * bits)) & ((int64_t{1} << bits) - 1);
      // The fourth of two bits is no code: it is worth what the third is.
      sum += static_cast<double>(std::min(own, levels - 1)) * step - 1;
    }
    values.push_back(sum);
  }
  return values;
}

int64_t format_bits(const PlaneSumFormat& format) { return format.planes * plane_bits(format); }

at::Tensor format_elements(const PlaneSumFormat& format, const at::Tensor&, const ElementRule&) {
  return refuse_without_scales(format);
}

at::Tensor format_codes(const PlaneSumFormat& format, const at::Tensor&) {
  return refuse_without_scales(format);
}

}  // namespace laconic
