#pragma once

#include "laconic/export/gguf/network.h"
#include "laconic/model/config.h"

namespace laconic {

/// The end of every sentence about what GGUF cannot hold.
inline constexpr const char* kNearest =
    "The nearest format that works is compressed-tensors (not for GPT-2, whose layers are "
    "transposed).";

struct RopeFacts {
  int64_t head_dim = 0;
  double theta = 10000.0;
  double partial_factor = 1.0;
};

/// Writes frequencies and scaling into the network's keys (and rope_divisors for llama3); what
/// llama.cpp cannot do becomes an obstacle. Returns how many features of a head turn.
int64_t put_rope_keys(const model::Config& config, const RopeFacts& facts, GgufNetwork& network);

}  // namespace laconic
