#include "laconic/file/gguf/super_block.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Half.h>

#include <array>
#include <cmath>
#include <cstring>

#include "laconic/base/assert.h"

namespace laconic {
namespace {

constexpr int64_t kSuper = 256;
constexpr int64_t kMostGroups = kSuper / 16;
constexpr std::array<int32_t, 5> kPowersOfThree = {81, 27, 9, 3, 1};

// Bits of codes: `run` bytes hold run * 8 / bits codes, those that share a byte `run` apart.
struct Plane {
  int bits = 0;
  int64_t first = 0, run = 0;

  int64_t byte(int64_t i) const { return first + run * (i / codes()) + i % run; }
  int shift(int64_t i) const { return bits * static_cast<int>(i % codes() / run); }
  int64_t codes() const { return run * 8 / bits; }
};

enum class ScaleCode {
  kNone,
  kNibbles,    // a byte: scale, then minimum
  kSixBits,    // 8 scales and 8 minima of 6 bits in 12 bytes
  kSixSigned,  // 16 scales of 6 bits in 12 bytes, less 32
  kBytes,      // a signed byte
  kFloats,     // a byte: positive e4m3
};

// Where the parts of a block lie; -1: no such part. TQ1_0 has no planes: five codes share a byte.
struct SuperLayout {
  SuperBlockShape shape;
  Plane low = {}, high = {};
  ScaleCode scales = ScaleCode::kNone;
  int64_t scales_at = -1, unit_at = 0, minimum_unit_at = -1;
  int64_t stored(int64_t q) const { return q - shape.q_min; }
  int64_t groups() const { return shape.length / shape.group; }
};

constexpr std::array kSuperLayouts = {
    SuperLayout{{GgufType::Q2_K, kSuper, 16, 0, 3, 0, 15, 15},
                {2, 16, 32},
                {},
                ScaleCode::kNibbles,
                0,
                80,
                82},
    SuperLayout{{GgufType::Q3_K, kSuper, 16, -4, 3, -32, 31},
                {2, 32, 32},
                {1, 0, 32},
                ScaleCode::kSixSigned,
                96,
                108},
    SuperLayout{{GgufType::Q4_K, kSuper, 32, 0, 15, 0, 63, 63},
                {4, 16, 32},
                {},
                ScaleCode::kSixBits,
                4,
                0,
                2},
    SuperLayout{{GgufType::Q5_K, kSuper, 32, 0, 31, 0, 63, 63},
                {4, 48, 32},
                {1, 16, 32},
                ScaleCode::kSixBits,
                4,
                0,
                2},
    SuperLayout{{GgufType::Q6_K, kSuper, 16, -32, 31, -128, 127},
                {4, 0, 64},
                {2, 128, 32},
                ScaleCode::kBytes,
                192,
                208},
    SuperLayout{{GgufType::IQ4_NL, 32, 32, 0, 15, 0, 0, 0, true}, {4, 2, 16}},
    SuperLayout{{GgufType::TQ1_0, kSuper, kSuper, -1, 1}, {}, {}, ScaleCode::kNone, -1, 52},
    SuperLayout{{GgufType::TQ2_0, kSuper, kSuper, -1, 1}, {2, 0, 32}, {}, ScaleCode::kNone, -1, 64},
    SuperLayout{{GgufType::MXFP4, 32, 32, 0, 15, 0, 0, 0, true}, {4, 1, 16}},
    SuperLayout{{GgufType::NVFP4, 64, 16, 0, 15, 0, 126, 0, true},
                {4, 4, 8},
                {},
                ScaleCode::kFloats,
                0,
                -1},
};

const SuperLayout& super_layout_of(GgufType type) {
  for (const SuperLayout& layout : kSuperLayouts)
    if (layout.shape.type == type) return layout;
  TORCH_CHECK_VALUE(false, "[gguf] expected a type of super-blocks, got ", block_of(type).name,
                    ".");
}

// The byte of a TQ1_0 block that holds code i, and which of its five digits the code is.
std::pair<int64_t, size_t> digit_of(int64_t i) {
  if (i < 160) return {i % 32, static_cast<size_t>(i / 32)};
  if (i < 240) return {32 + i % 16, static_cast<size_t>((i - 160) / 16)};
  return {48 + i % 4, static_cast<size_t>((i - 240) / 4)};
}

void pack_digits(const int16_t* q, uint8_t* out) {
  std::array<int32_t, 52> sums{};
  for (int64_t i = 0; i < kSuper; ++i) {
    const auto [byte, digit] = digit_of(i);
    sums[static_cast<size_t>(byte)] += (q[i] + 1) * kPowersOfThree[digit];
  }
  // sum / 243 as a fraction of 256: readers multiply the byte by three, digit after digit.
  for (size_t i = 0; i < sums.size(); ++i)
    out[i] = static_cast<uint8_t>((sums[i] * 256 + 242) / 243);
}

int64_t unpack_digit(const uint8_t* in, int64_t i) {
  const auto [byte, digit] = digit_of(i);
  const auto rest = static_cast<uint8_t>(in[byte] * (81 / kPowersOfThree[digit]));
  return (rest * 3) >> 8;
}

void put_bits(const Plane& plane, int64_t i, int64_t bits, uint8_t* out) {
  uint8_t& byte = out[plane.byte(i)];
  byte = static_cast<uint8_t>(byte | bits << plane.shift(i));
}

int64_t get_bits(const Plane& plane, int64_t i, const uint8_t* in) {
  return in[plane.byte(i)] >> plane.shift(i) & ((1 << plane.bits) - 1);
}

void pack_codes(const SuperLayout& layout, const int16_t* q, uint8_t* out) {
  if (layout.low.bits == 0) return pack_digits(q, out);
  const int64_t mask = (1 << layout.low.bits) - 1;
  for (int64_t i = 0; i < layout.shape.length; ++i) {
    const int64_t stored = layout.stored(q[i]);
    put_bits(layout.low, i, stored & mask, out);
    if (layout.high.bits > 0) put_bits(layout.high, i, stored >> layout.low.bits, out);
  }
}

int64_t unpack_code(const SuperLayout& layout, const uint8_t* in, int64_t i) {
  int64_t stored = layout.low.bits == 0 ? unpack_digit(in, i) : get_bits(layout.low, i, in);
  if (layout.high.bits > 0) stored |= get_bits(layout.high, i, in) << layout.low.bits;
  return stored + layout.shape.q_min;
}

// Six bits of each of 8 scales and 8 minima: the first four of both in six bits of a byte, the
// last four in a nibble and the two bits that are left above the first.
void pack_six_bits(const int16_t* scale, const int16_t* minimum, uint8_t* out) {
  for (size_t j = 0; j < 4; ++j) {
    out[j] = static_cast<uint8_t>(scale[j] | scale[j + 4] >> 4 << 6);
    out[j + 4] = static_cast<uint8_t>(minimum[j] | minimum[j + 4] >> 4 << 6);
    out[j + 8] = static_cast<uint8_t>((scale[j + 4] & 15) | (minimum[j + 4] & 15) << 4);
  }
}

void pack_scales(const SuperLayout& layout, const int16_t* scale, const int16_t* minimum,
                 uint8_t* out) {
  if (layout.scales == ScaleCode::kSixBits) return pack_six_bits(scale, minimum, out);
  for (int64_t j = 0; j < layout.groups() && layout.scales != ScaleCode::kNone; ++j) {
    if (layout.scales == ScaleCode::kNibbles) {
      out[j] = static_cast<uint8_t>(scale[j] | minimum[j] << 4);
    } else if (layout.scales == ScaleCode::kBytes || layout.scales == ScaleCode::kFloats) {
      out[j] = static_cast<uint8_t>(scale[j]);
    } else {
      const int stored = scale[j] + 32;
      put_bits({4, 0, 8}, j, stored & 15, out);
      put_bits({2, 8, 4}, j, stored >> 4, out);
    }
  }
}

float small_float(int code) {
  const int exponent = code >> 3, mantissa = code & 7;
  return exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                       : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
}

struct GroupNumbers {
  std::array<float, kMostGroups> scale{}, minimum{};
};

GroupNumbers unpack_scales(const SuperLayout& layout, const uint8_t* in) {
  GroupNumbers found;
  found.scale.fill(1);
  for (int64_t j = 0; j < layout.groups() && layout.scales != ScaleCode::kNone; ++j) {
    if (layout.scales == ScaleCode::kFloats) {
      found.scale[static_cast<size_t>(j)] = small_float(in[j] & 127);
      continue;
    }
    int scale = 0, minimum = 0;
    if (layout.scales == ScaleCode::kNibbles) {
      scale = in[j] & 15, minimum = in[j] >> 4;
    } else if (layout.scales == ScaleCode::kBytes) {
      scale = static_cast<int8_t>(in[j]);
    } else if (layout.scales == ScaleCode::kSixSigned) {
      scale = static_cast<int>(get_bits({4, 0, 8}, j, in) | get_bits({2, 8, 4}, j, in) << 4) - 32;
    } else if (j < 8) {
      const int64_t k = j % 4;
      scale = j < 4 ? in[k] & 63 : (in[k + 8] & 15) | in[k] >> 6 << 4;
      minimum = j < 4 ? in[k + 4] & 63 : in[k + 8] >> 4 | in[k + 4] >> 6 << 4;
    }
    found.scale[static_cast<size_t>(j)] = static_cast<float>(scale);
    found.minimum[static_cast<size_t>(j)] = static_cast<float>(minimum);
  }
  return found;
}

float half_at(const uint8_t* in, int64_t at) {
  c10::Half half = 0;
  if (at >= 0) std::memcpy(&half, in + at, sizeof(half));
  return half;
}

void unpack_super_block(const SuperLayout& layout, const uint8_t* in, float* out) {
  const bool has_exponent = layout.shape.type == GgufType::MXFP4;
  float unit = has_exponent ? std::ldexp(1.F, in[0] - 127) : half_at(in, layout.unit_at);
  if (layout.unit_at < 0) unit = 1;
  const float minimum_unit = half_at(in, layout.minimum_unit_at);
  const GroupNumbers groups =
      unpack_scales(layout, layout.scales_at >= 0 ? in + layout.scales_at : in);
  for (int64_t i = 0; i < layout.shape.length; ++i) {
    const auto group = static_cast<size_t>(i / layout.shape.group);
    const int64_t code = unpack_code(layout, in, i);
    const auto q = layout.shape.has_table ? table_of(layout.shape.type)[static_cast<size_t>(code)]
                                          : static_cast<double>(code);
    out[i] = unit * groups.scale[group] * static_cast<float>(q);
    if (layout.minimum_unit_at >= 0) out[i] -= minimum_unit * groups.minimum[group];
  }
}

void check_integers(const at::Tensor& values, at::IntArrayRef shape, int64_t low, int64_t high,
                    const std::string& what) {
  TORCH_CHECK_VALUE(values.defined() && values.sizes() == shape, "[gguf] ", what, ": expected ",
                    shape, ", got ", values.defined() ? values.sizes() : at::IntArrayRef(), ".");
  const auto least = values.min().item<int64_t>(), most = values.max().item<int64_t>();
  TORCH_CHECK_VALUE(least >= low && most <= high, "[gguf] ", what, ": expected ", low, " to ", high,
                    ", got ", least, " to ", most, ".");
}

void check_super_blocks(const SuperLayout& layout, const SuperBlocks& blocks) {
  const SuperBlockShape& shape = layout.shape;
  const std::string name = block_of(shape.type).name;
  TORCH_CHECK_VALUE(
      blocks.q.dim() == 2 && blocks.q.numel() > 0 && blocks.q.size(1) % shape.length == 0,
      "[gguf] codes of ", name, ": expected [rows, n] with n a multiple of ", shape.length,
      ", got ", blocks.q.sizes(), ".");
  const int64_t rows = blocks.q.size(0), columns = blocks.q.size(1);
  check_integers(blocks.q, blocks.q.sizes(), shape.q_min, shape.q_max, "codes of " + name);
  const std::array<int64_t, 2> groups = {rows, columns / shape.group},
                               units = {rows, columns / shape.length};
  if (layout.scales != ScaleCode::kNone)
    check_integers(blocks.scale, groups, shape.scale_min, shape.scale_max, "scales of " + name);
  if (shape.minimum_max > 0)
    check_integers(blocks.minimum, groups, 0, shape.minimum_max, "minima of " + name);
  const auto dtype = shape.type == GgufType::MXFP4 ? at::kByte : at::kHalf;
  const auto check_unit = [&](const at::Tensor& unit) {
    TORCH_CHECK_VALUE(unit.defined() && unit.scalar_type() == dtype && unit.sizes() == units,
                      "[gguf] units of ", name, ": expected ", dtype, " ", at::IntArrayRef(units),
                      ", got ", unit.defined() ? unit.toString() : "nothing", ".");
  };
  if (layout.unit_at >= 0) check_unit(blocks.unit);
  if (shape.minimum_max > 0) check_unit(blocks.minimum_unit);
}

at::Tensor as_shorts(const at::Tensor& values) {
  return values.defined() ? values.to(at::kShort).contiguous() : at::zeros({1}, at::kShort);
}

}  // namespace

const SuperBlockShape* find_super_block(GgufType type) {
  for (const SuperLayout& layout : kSuperLayouts)
    if (layout.shape.type == type) return &layout.shape;
  return nullptr;
}

const std::vector<double>& table_of(GgufType type) {
  static const std::vector<double> nonlinear = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                1,    13,   25,  38,  53,  69,  89,  113};
  static const std::vector<double> floats = {0,   0.5,  1,  1.5,  2,  3,  4,  6,
                                             -0., -0.5, -1, -1.5, -2, -3, -4, -6};
  LACONIC_ASSERT(type == GgufType::IQ4_NL || type == GgufType::MXFP4 || type == GgufType::NVFP4,
                 "a type without table");
  return type == GgufType::IQ4_NL ? nonlinear : floats;
}

at::Tensor pack_super_blocks(GgufType type, const SuperBlocks& blocks) {
  const SuperLayout& layout = super_layout_of(type);
  check_super_blocks(layout, blocks);
  const SuperBlockShape& shape = layout.shape;
  const int64_t rows = blocks.q.size(0), count = blocks.q.size(1) / shape.length;
  const int64_t bytes = block_of(type).bytes, groups = shape.length / shape.group;
  const auto q = as_shorts(blocks.q), scale = as_shorts(blocks.scale),
             minimum = as_shorts(blocks.minimum);
  const bool has_unit = layout.unit_at >= 0;
  const auto unit = has_unit ? blocks.unit.contiguous() : at::zeros({1}, at::kByte);
  const auto minimum_unit = blocks.minimum_unit.defined() ? blocks.minimum_unit.contiguous() : unit;
  const auto* units = static_cast<const std::byte*>(unit.const_data_ptr());
  const auto* minimum_units = static_cast<const std::byte*>(minimum_unit.const_data_ptr());
  const size_t size = unit.element_size();
  auto packed = at::zeros({rows, count * bytes}, at::kByte);
  auto* out = packed.mutable_data_ptr<uint8_t>();
  const auto at_block = [&](const at::Tensor& values, int64_t i) {
    return values.const_data_ptr<int16_t>() + (values.numel() > 1 ? i * groups : 0);
  };
  for (int64_t i = 0; i < rows * count; ++i, out += bytes) {
    pack_codes(layout, q.const_data_ptr<int16_t>() + i * shape.length, out);
    if (layout.scales != ScaleCode::kNone)
      pack_scales(layout, at_block(scale, i), at_block(minimum, i), out + layout.scales_at);
    const auto place = static_cast<size_t>(i) * size;
    if (has_unit) std::memcpy(out + layout.unit_at, units + place, size);
    if (layout.minimum_unit_at >= 0)
      std::memcpy(out + layout.minimum_unit_at, minimum_units + place, size);
  }
  return packed;
}

at::Tensor unpack_super_blocks(GgufType type, const at::Tensor& bytes) {
  const SuperLayout& layout = super_layout_of(type);
  const int64_t size = block_of(type).bytes, blocks = bytes.numel() / size;
  const auto packed = bytes.contiguous();
  auto values = at::empty({bytes.size(0), bytes.size(1) / size * layout.shape.length}, at::kFloat);
  const auto* in = packed.const_data_ptr<uint8_t>();
  auto* out = values.mutable_data_ptr<float>();
  for (int64_t i = 0; i < blocks; ++i)
    unpack_super_block(layout, in + i * size, out + i * layout.shape.length);
  return values;
}

}  // namespace laconic
