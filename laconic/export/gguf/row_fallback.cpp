#include "laconic/export/gguf/row_fallback.h"

#include <array>

#include "laconic/export/gguf/super_block_storage.h"
#include "laconic/file/gguf/super_block.h"

namespace laconic {
namespace {

struct Replacement {
  GgufType type, other;
};
constexpr std::array kReplacements = {
    Replacement{GgufType::TQ1_0, GgufType::Q4_0},  Replacement{GgufType::TQ2_0, GgufType::Q4_0},
    Replacement{GgufType::Q2_K, GgufType::IQ4_NL}, Replacement{GgufType::Q3_K, GgufType::IQ4_NL},
    Replacement{GgufType::Q4_K, GgufType::Q5_0},   Replacement{GgufType::Q5_K, GgufType::Q5_1},
    Replacement{GgufType::Q6_K, GgufType::Q8_0}};

/// Scales in float16 for 32 weights.
QuantSpec spec_of(GgufType type) {
  const QuantSpec halves =
      QuantSpec{}.let(PerGroup{.axis = 1, .group_size = 32}, Restriction(StoredAs{}));
  if (type == GgufType::IQ4_NL)
    return halves.let(Format(TableFormat{table_of(type)}), Statistic(Mse{}));
  if (type == GgufType::Q5_1)
    return halves.let(IntFormat{.bit_width = 5, .is_signed = false},
                      Statistic(MinMax{.include_zero = false}), Threshold::kCodeCount,
                      ZeroPoint(StoredMinimum{}));
  const int64_t bits = type == GgufType::Q8_0 ? 8 : type == GgufType::Q5_0 ? 5 : 4;
  return halves.let(IntFormat{.bit_width = bits}, Statistic(Mse{}));
}

}  // namespace

std::optional<RowFallback> row_fallback(const NativeLayer& layer) {
  const auto type = super_block_type(layer);
  const int64_t length = layer.shape.at(1);
  if (!type || length % block_of(*type).length == 0 || length % 32 != 0) return std::nullopt;
  for (const auto& [from, to] : kReplacements) {
    if (from != *type) continue;
    const GgufBlock &block = block_of(from), &other = block_of(to);
    return RowFallback{spec_of(to), "rows of " + std::to_string(length) + " weights fill no " +
                                        block.name + " of " + std::to_string(block.length) + ": " +
                                        other.name + " instead, as llama.cpp has it."};
  }
  return std::nullopt;
}

}  // namespace laconic
