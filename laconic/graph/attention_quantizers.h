#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "laconic/graph/graph.h"

namespace laconic::graph {

/// Quantizers of what one attention multiplies: queries, keys and values [batch, heads, tokens,
/// head size], probabilities [batch, heads, tokens, tokens seen].
struct AttentionQuantizers {
  std::optional<QuantSpec> queries, keys, values;
  std::optional<QuantSpec> probabilities = {};  ///< softmax(scale * q k^T); without residual
  /// A query sees the keys and values of itself and of the residual - 1 positions before it in
  /// float; 0: none, not even its own.
  int64_t residual = 0;
  bool operator==(const AttentionQuantizers&) const = default;
};

/// The modules that call laconic::attention, in order: "model.layers.0.self_attn".
std::vector<std::string> attention_modules(const Graph& graph);

/// Puts quantizers on the attention of the modules named, called MODULE.queries, MODULE.keys,
/// MODULE.values and MODULE.probabilities. Queries and keys are quantized as attention reads them:
/// after their rope. Node ids change: find layers and blocks anew.
/// @throws c10::ValueError for a module without attention, or one that is quantized already,
/// or probabilities beside a residual.
Graph place_attention_quantizers(const Graph& graph,
                                 const std::map<std::string, AttentionQuantizers>& quantizers);

}  // namespace laconic::graph
