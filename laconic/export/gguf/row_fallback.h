#pragma once

#include <optional>
#include <string>

#include "laconic/load/native/native.h"

namespace laconic {

/// What stands for a block type whose blocks a layer's rows do not fill.
struct RowFallback {
  QuantSpec weight;  ///< that the other type holds
  std::string note;  ///< "rows of 288 weights fill no Q4_K of 256: Q5_0 instead, ..."
};

/// llama.cpp's rule: where a spec is for blocks of 256 weights and the rows are a multiple of 32
/// only, TQ1_0 and TQ2_0 become Q4_0, Q2_K and Q3_K IQ4_NL, Q4_K Q5_0, Q5_K Q5_1, Q6_K Q8_0.
/// @returns none for every other layer.
std::optional<RowFallback> row_fallback(const NativeLayer& layer);

}  // namespace laconic
