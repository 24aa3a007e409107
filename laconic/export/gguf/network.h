#pragma once

#include <ATen/core/Tensor.h>

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "laconic/file/gguf/gguf.h"

namespace laconic {

/// How llama.cpp wants the rows of a tensor ordered.
enum class RowOrder {
  kAsStored,
  kQueryPairs,  ///< the two halves of each query head interleaved, as its rope turns neighbours
  kKeyPairs,    ///< the same for key heads
  kQkvParts,    ///< query, key and value of each head -> all queries, all keys, all values
};

/// Where a tensor of a checkpoint goes.
struct GgufPlace {
  std::string name;
  RowOrder order = RowOrder::kAsStored;
};

/// What a GGUF file says about a network.
struct GgufNetwork {
  std::string architecture;  ///< "llama"
  std::vector<std::pair<std::string, GgufValue>> keys;
  int64_t layers = 0, heads = 0, kv_heads = 0, vocabulary = 0;
  bool is_tied = false;
  bool needs_head = false;           ///< llama.cpp wants output.weight even when it is tied
  bool stores_transposed = false;    ///< linear layers of the checkpoint are [in, out]
  std::vector<float> rope_divisors;  ///< of each frequency; empty: none
  std::vector<std::string> notes, obstacles;
};

/// @throws c10::ValueError for a field that is absent or wrong. What llama.cpp cannot do is in
/// `obstacles`.
GgufNetwork read_network(const nlohmann::json& config);

/// Nothing for a tensor that is not needed: a tied head, masks and frequencies.
/// @throws c10::ValueError for a tensor that has no place in the architecture.
std::optional<GgufPlace> place_of(const nlohmann::json& config, const GgufNetwork& network,
                                  const std::string& tensor);

/// Names that a file of this architecture must have.
std::vector<std::string> required_tensors(const nlohmann::json& config, const GgufNetwork& network);

/// Rows of `tensor` in the order; [rows, ...] of any number of sides.
at::Tensor reordered(const at::Tensor& tensor, RowOrder order, const GgufNetwork& network);

}  // namespace laconic
