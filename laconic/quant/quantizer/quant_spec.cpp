#include "laconic/quant/quantizer/quant_spec.h"

#include "laconic/base/variant.h"

namespace laconic {
namespace {

template <typename Part>
void put_into_scale(QuantSpec& spec, const Part& part, std::string_view what) {
  const auto put = [&](auto& scale) {
    if constexpr (std::is_same_v<Part, Statistic>) scale.statistic = part;
    if constexpr (std::is_same_v<Part, Restriction>) scale.restriction = part;
    if constexpr (std::is_same_v<Part, Threshold>) scale.threshold = part;
    if constexpr (std::is_same_v<Part, Affine>) scale.affine = part;
  };
  std::visit(
      [&](auto& scale) {
        if constexpr (has_statistic<decltype(scale)>) {
          put(scale);
        } else {
          TORCH_CHECK_VALUE(false, "[scale] a ", part_name(scale), " scale takes no ", what,
                            ". Replace the scale first, for example by StatisticScale{}.");
        }
      },
      spec.scale);
}

}  // namespace

void put_part(QuantSpec& spec, const IntFormat& part) { spec.format = part; }
void put_part(QuantSpec& spec, const Format& part) { spec.format = part; }
void put_part(QuantSpec& spec, const Granularity& part) { spec.granularity = part; }
void put_part(QuantSpec& spec, const Scale& part) { spec.scale = part; }
void put_part(QuantSpec& spec, const Statistic& part) { put_into_scale(spec, part, "statistic"); }
void put_part(QuantSpec& spec, const Restriction& part) {
  put_into_scale(spec, part, "restriction");
}
void put_part(QuantSpec& spec, Threshold part) { put_into_scale(spec, part, "threshold"); }
void put_part(QuantSpec& spec, const ZeroPoint& part) { spec.zero_point = part; }
void put_part(QuantSpec& spec, const Rounding& part) { spec.rounding = part; }
void put_part(QuantSpec& spec, const Gradient& part) { spec.gradient = part; }
void put_part(QuantSpec& spec, const Minimum& part) { spec.range_start.minimum = part; }
void put_part(QuantSpec& spec, ZeroPointSource part) { spec.range_start.source = part; }
void put_part(QuantSpec& spec, Affine part) { put_into_scale(spec, part, "affine"); }
void put_part(QuantSpec& spec, const BitWidth& part) { spec.bit_width = part; }
void put_part(QuantSpec& spec, NonFinite part) { spec.non_finite = part; }

}  // namespace laconic
