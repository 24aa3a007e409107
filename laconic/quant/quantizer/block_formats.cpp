#include "laconic/quant/quantizer/block_formats.h"

namespace laconic {
namespace {

PerGroup last_axis(int64_t group_size) { return {.axis = -1, .group_size = group_size}; }

Restriction quantized_by(const QuantSpec& quantizer) { return QuantizedBy{quantizer}; }

// The nearest power of two that e8m0 has, by a rounding of ours; no scale of its own.
QuantSpec power_scales(const Rounding& rounding) {
  return QuantSpec{}.let(e8m0(), Scale(ConstantScale{}), rounding);
}

Restriction power_rule(BlockScale rule) {
  switch (rule) {
    case BlockScale::kOcp:
      return PowerOfTwo{PowerRounding::kFloor};
    case BlockScale::kFloor:
      return quantized_by(power_scales(Floor{}));
    case BlockScale::kCeil:
      return quantized_by(power_scales(Ceil{}));
    case BlockScale::kNearest:
      return quantized_by(power_scales(HalfEven{}));
  }
  TORCH_CHECK_VALUE(false, "[mx] unknown rule ", static_cast<int>(rule), ".");
}

// Scales of one super-block under a float16.
QuantSpec scale_codes(int64_t bits, bool is_signed, int64_t blocks) {
  return QuantSpec{}.let(IntFormat{.bit_width = bits, .is_signed = is_signed}, last_axis(blocks),
                         Restriction(StoredAs{}));
}

}  // namespace

QuantSpec mx(const Format& format, BlockScale rule, int64_t group_size) {
  const Threshold threshold =
      rule == BlockScale::kOcp ? Threshold::kLargestPower : Threshold::kLargestCode;
  return QuantSpec{}.let(format, last_axis(group_size), power_rule(rule), threshold);
}

QuantSpec nvfp4() {
  return QuantSpec{}.let(e2m1(), last_axis(16), quantized_by(QuantSpec{}.let(e4m3())));
}

QuantSpec block_float(int64_t bit_width, int64_t group_size) {
  return mx(IntFormat{.bit_width = bit_width}, BlockScale::kCeil, group_size);
}

QuantSpec super_block(const SuperBlock& shape) {
  return QuantSpec{}.let(IntFormat{.bit_width = shape.bits}, last_axis(shape.block),
                         quantized_by(scale_codes(shape.scale_bits, true, shape.blocks)));
}

QuantSpec super_block_with_minimum(const SuperBlock& shape) {
  const QuantSpec codes = scale_codes(shape.scale_bits, false, shape.blocks);
  return QuantSpec{}.let(IntFormat{.bit_width = shape.bits, .is_signed = false},
                         last_axis(shape.block), MinMax{}, quantized_by(codes),
                         QuantizedMinimum{codes});
}

QuantSpec double_quantized_nf4(int64_t group_size) {
  PerGroup groups = last_axis(group_size);
  groups.pad = true;
  return QuantSpec{}.let(nf4(), last_axis(64), quantized_by(QuantSpec{}.let(IntFormat{}, groups)));
}

}  // namespace laconic
