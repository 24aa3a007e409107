#include "laconic/file/gguf/block.h"

#include <ATen/ops/empty.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <cstring>

#include "laconic/file/gguf/super_block.h"

namespace laconic {
namespace {

constexpr int64_t kLength = 32, kHalf = 16;

// Where the parts of a block lie: scale, [minimum], [fifth bits], codes.
struct Layout {
  int bits;
  bool has_minimum;
  int64_t high() const { return has_minimum ? 4 : 2; }
  int64_t codes() const { return high() + (bits == 5 ? 4 : 0); }
  // Added to q so that what is stored is not negative; 8-bit codes are stored with their sign.
  int offset() const { return has_minimum || bits == 8 ? 0 : 1 << (bits - 1); }
};

Layout layout_of(GgufType type) {
  switch (type) {
    case GgufType::Q4_0:
      return {4, false};
    case GgufType::Q4_1:
      return {4, true};
    case GgufType::Q5_0:
      return {5, false};
    case GgufType::Q5_1:
      return {5, true};
    case GgufType::Q8_0:
      return {8, false};
    default:
      break;
  }
  TORCH_CHECK_VALUE(false, "[gguf] expected a block type of integers, got ", block_of(type).name,
                    ".");
}

void pack_block(const Layout& layout, const int16_t* q, uint8_t* out) {
  uint8_t* codes = out + layout.codes();
  uint32_t high = 0;
  for (int64_t i = 0; i < kLength; ++i) {
    const auto stored = static_cast<uint32_t>(q[i] + layout.offset());
    if (layout.bits == 8) {
      codes[i] = static_cast<uint8_t>(stored);
      continue;
    }
    const bool low_half = i < kHalf;
    uint8_t& byte = codes[i % kHalf];
    byte = static_cast<uint8_t>(low_half ? stored & 15 : byte | (stored & 15) << 4);
    high |= (stored >> 4) << i;
  }
  if (layout.bits == 5) std::memcpy(out + layout.high(), &high, sizeof(high));
}

void unpack_block(const Layout& layout, const uint8_t* in, float* out) {
  c10::Half scale, minimum = 0;
  std::memcpy(&scale, in, sizeof(scale));
  if (layout.has_minimum) std::memcpy(&minimum, in + 2, sizeof(minimum));
  uint32_t high = 0;
  if (layout.bits == 5) std::memcpy(&high, in + layout.high(), sizeof(high));
  const uint8_t* codes = in + layout.codes();
  for (int64_t i = 0; i < kLength; ++i) {
    int q;
    if (layout.bits == 8) {
      q = static_cast<int8_t>(codes[i]);
    } else {
      const int low = i < kHalf ? codes[i % kHalf] & 15 : codes[i % kHalf] >> 4;
      q = (low | static_cast<int>((high >> i) & 1U) << 4) - layout.offset();
    }
    out[i] = static_cast<float>(scale) * static_cast<float>(q);
    if (layout.has_minimum) out[i] += static_cast<float>(minimum);
  }
}

void check_scales(const at::Tensor& scales, at::IntArrayRef shape, const char* what) {
  TORCH_CHECK_VALUE(
      scales.defined() && scales.scalar_type() == at::kHalf && scales.sizes() == shape, "[gguf] ",
      what, ": expected float16 ", shape, ", got ",
      scales.defined() ? scales.toString() : "nothing", ".");
}

}  // namespace

BlockRange block_range(GgufType type) {
  const Layout layout = layout_of(type);
  const int64_t count = int64_t{1} << layout.bits;
  return layout.has_minimum ? BlockRange{0, count - 1} : BlockRange{-count / 2, count / 2 - 1};
}

at::Tensor pack_blocks(GgufType type, const at::Tensor& q, const at::Tensor& scale,
                       const at::Tensor& minimum) {
  const Layout layout = layout_of(type);
  const GgufBlock& block = block_of(type);
  const auto [q_min, q_max] = block_range(type);
  TORCH_CHECK_VALUE(q.dim() == 2 && q.numel() > 0 && q.size(1) % kLength == 0,
                    "[gguf] codes: expected [rows, n] with n a multiple of ", kLength, ", got ",
                    q.sizes(), ".");
  const int64_t rows = q.size(0), blocks = q.size(1) / kLength;
  check_scales(scale, {rows, blocks}, "scale");
  if (layout.has_minimum) check_scales(minimum, {rows, blocks}, "minimum");
  const auto low = q.min().item<int64_t>(), high = q.max().item<int64_t>();
  TORCH_CHECK_VALUE(low >= q_min && high <= q_max, "[gguf] codes: expected ", q_min, " to ", q_max,
                    " for ", block.name, ", got ", low, " to ", high, ".");
  const auto wide = q.to(at::kShort).contiguous();
  const auto scales = scale.contiguous();
  const auto minima = layout.has_minimum ? minimum.contiguous() : at::Tensor();
  auto packed = at::empty({rows, blocks * block.bytes}, at::kByte);
  const auto* codes = wide.const_data_ptr<int16_t>();
  const auto* d = scales.const_data_ptr<at::Half>();
  const auto* m = layout.has_minimum ? minima.const_data_ptr<at::Half>() : nullptr;
  auto* out = packed.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < rows * blocks; ++i, out += block.bytes) {
    std::memcpy(out, d + i, sizeof(at::Half));
    if (m != nullptr) std::memcpy(out + 2, m + i, sizeof(at::Half));
    pack_block(layout, codes + i * kLength, out);
  }
  return packed;
}

at::Tensor unpack_blocks(GgufType type, const at::Tensor& bytes) {
  const GgufBlock& block = block_of(type);
  TORCH_CHECK_VALUE(
      bytes.dim() == 2 && bytes.scalar_type() == at::kByte && bytes.size(1) % block.bytes == 0,
      "[gguf] bytes: expected uint8 [rows, multiple of ", block.bytes, "], got ", bytes.toString(),
      " ", bytes.sizes(), ".");
  const auto packed = bytes.contiguous();
  if (type == GgufType::F32) return packed.view(at::kFloat);
  if (type == GgufType::F16) return packed.view(at::kHalf).to(at::kFloat);
  if (type == GgufType::BF16) return packed.view(at::kBFloat16).to(at::kFloat);
  if (find_super_block(type) != nullptr) return unpack_super_blocks(type, packed);
  const Layout layout = layout_of(type);
  const int64_t blocks = bytes.numel() / block.bytes;
  auto values = at::empty({bytes.size(0), bytes.size(1) / block.bytes * kLength}, at::kFloat);
  const auto* in = packed.const_data_ptr<uint8_t>();
  auto* out = values.mutable_data_ptr<float>();
  for (int64_t i = 0; i < blocks; ++i)
    unpack_block(layout, in + i * block.bytes, out + i * kLength);
  return values;
}

}  // namespace laconic
