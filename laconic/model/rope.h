#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <variant>
#include <vector>

#include "laconic/graph/operators.h"
#include "laconic/model/config.h"

namespace laconic::model {

/// Frequencies that do not depend on the length: default, linear, llama3, yarn.
struct FixedRope {
  std::vector<double> frequencies;  ///< radians a position
  double scaling = 1.0;             ///< of cosine and sine
};

/// LongRoPE: one set up to the original length, another beyond.
struct LengthRope {
  std::vector<double> short_frequencies, long_frequencies;
  int64_t original_length = 0;
  double scaling = 1.0;
};

using Rope = std::variant<FixedRope, LengthRope, graph::DynamicRope>;

/// What the model says beside "rope_parameters" / "rope_scaling".
struct RopeDefaults {
  int64_t head_dim = 0;
  double theta = 10000.0;
  double partial_factor = 1.0;  ///< part of each head's features that turns
  bool turns_part = false;      ///< whether "partial_rotary_factor" may say another part
  /// Kind of layer ("full_attention") where each kind may have parameters of its own; null: none.
  const char* layers = nullptr;
};

/// Reads "rope_scaling" (older) or "rope_parameters" (newer): rope_type default, linear, dynamic,
/// llama3, yarn or longrope, with the published formulas.
/// @throws c10::ValueError for a field that is absent or wrong, c10::NotImplementedError for
/// another type.
Rope read_rope(const Config& config, const RopeDefaults& defaults);

/// x [batch, heads, length, head_dim], turned.
at::Tensor turn(const Rope& rope, const at::Tensor& x);

}  // namespace laconic::model
