#include "laconic/kernel/pack.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "laconic/kernel/parallel.h"

namespace laconic {
namespace {

void check_bits(int64_t bits) {
  TORCH_CHECK_VALUE(bits >= 1 && bits <= 16, "[pack] bits: expected 1 to 16, got ", bits, ".");
}

void pack_row(const int32_t* codes, int64_t columns, int64_t bits, uint8_t* out) {
  // Codes of negative value carry their sign in the upper bits: only `bits` of them belong here.
  const uint32_t mask = (uint32_t{1} << bits) - 1;
  uint64_t pending = 0;
  int64_t filled = 0;
  for (int64_t i = 0; i < columns; ++i) {
    pending |= static_cast<uint64_t>(static_cast<uint32_t>(codes[i]) & mask) << filled;
    for (filled += bits; filled >= 8; filled -= 8, pending >>= 8)
      *out++ = static_cast<uint8_t>(pending);
  }
  if (filled > 0) *out = static_cast<uint8_t>(pending);
}

void unpack_row(const uint8_t* packed, int64_t columns, int64_t bits, int32_t* codes) {
  const uint64_t mask = (uint64_t{1} << bits) - 1;
  uint64_t pending = 0;
  int64_t filled = 0;
  for (int64_t i = 0; i < columns; ++i) {
    for (; filled < bits; filled += 8) pending |= static_cast<uint64_t>(*packed++) << filled;
    codes[i] = static_cast<int32_t>(pending & mask);
    pending >>= bits;
    filled -= bits;
  }
}

at::Tensor pack_into(const at::Tensor& codes, int64_t bits, int64_t row_bytes) {
  check_bits(bits);
  TORCH_CHECK_VALUE(codes.dim() == 2, "[pack] expected codes [rows, columns], got shape ",
                    codes.sizes(), ".");
  const auto whole = codes.to(at::kInt).contiguous();
  auto packed = at::zeros({codes.size(0), row_bytes}, at::kByte);
  const int64_t columns = codes.size(1);
  const int32_t* source = whole.const_data_ptr<int32_t>();
  uint8_t* target = packed.mutable_data_ptr<uint8_t>();
  kernel::parallel_for(0, codes.size(0), 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      pack_row(source + row * columns, columns, bits, target + row * row_bytes);
  });
  return packed;
}

}  // namespace

at::Tensor pack_rows(const at::Tensor& codes, int64_t bits) {
  return pack_into(codes, bits, codes.dim() == 2 ? (codes.size(1) * bits + 7) / 8 : 0);
}

at::Tensor pack_rows_to_words(const at::Tensor& codes, int64_t bits) {
  return pack_into(codes, bits, codes.dim() == 2 ? (codes.size(1) * bits + 31) / 32 * 4 : 0)
      .view(at::kInt);
}

at::Tensor unpack_rows(const at::Tensor& packed, int64_t bits, int64_t columns) {
  check_bits(bits);
  const int64_t row_bytes = (columns * bits + 7) / 8;
  TORCH_CHECK_VALUE(packed.scalar_type() == at::kByte && packed.dim() == 2 && columns >= 0 &&
                        packed.size(1) == row_bytes,
                    "[pack] expected uint8 [rows, ", row_bytes, "] for ", columns, " columns of ",
                    bits, " bits, got ", packed.scalar_type(), " ", packed.sizes(), ".");
  const auto source_tensor = packed.contiguous();
  auto codes = at::empty({packed.size(0), columns}, at::kInt);
  const uint8_t* source = source_tensor.const_data_ptr<uint8_t>();
  int32_t* target = codes.mutable_data_ptr<int32_t>();
  kernel::parallel_for(0, packed.size(0), 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      unpack_row(source + row * row_bytes, columns, bits, target + row * columns);
  });
  return codes;
}

}  // namespace laconic
