#pragma once

#include <string>
#include <vector>

#include "laconic/graph/graph.h"

namespace laconic::graph {

/// A linear layer found in a graph: y = x W^T (+ b), W a parameter, perhaps stored transposed.
struct LinearLayer {
  std::string name;         ///< module path: "model.layers.0.self_attn.q_proj"
  std::string weight_name;  ///< checkpoint name
  bool transposed = false;  ///< stored [in, out]; the graph transposes it
  NodeId node = -1;         ///< the aten::linear call
  Value input;              ///< x, before any quantize node
  Value weight;             ///< what the call multiplies with, [out, in]
};

/// Every linear layer, in graph order. The head is among them also when its weight is tied to the embedding.
std::vector<LinearLayer> find_linear_layers(const Graph& graph);

/// Nodes [begin, end) of one repeated block ("model.layers.3").
struct Block {
  std::string name;
  NodeId begin = 0, end = 0;
};

/// The longest run of numbered sibling modules ("model.layers.0", "model.layers.1", ...), found by
/// module paths, not by names of architectures. Each is one range of nodes with one value entering it.
/// @throws c10::ValueError when nodes of two blocks interleave.
std::vector<Block> find_blocks(const Graph& graph);

/// Puts a quantizer `name` on the weight of a linear layer (after the transposition) / on its input.
Graph quantize_weight(const Graph& graph, const LinearLayer& layer, const Quantizer& quantizer);
Graph quantize_input(const Graph& graph, const LinearLayer& layer, const Quantizer& quantizer);

}  // namespace laconic::graph
