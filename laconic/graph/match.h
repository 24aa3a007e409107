#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "laconic/graph/graph.h"

namespace laconic::graph {

/// A linear layer found in a graph: y = x W^T (+ b), W a parameter, perhaps stored transposed; or
/// an embedding, which looks rows of W up.
struct LinearLayer {
  std::string name;         ///< module path: "model.layers.0.self_attn.q_proj"
  std::string weight_name;  ///< checkpoint name
  bool transposed = false;  ///< stored [in, out]; the graph transposes it
  NodeId node = -1;         ///< the aten::linear call
  Value input;              ///< x, before any quantize node
  Value weight;             ///< W as [out, in], after the transposition, before any quantize node
  /// Of find_embeddings: `node` is the aten::embedding call, `input` the ids, W [rows, width].
  bool is_embedding = false;
};

/// Every linear layer, in graph order. The head is among them also when its weight is tied to the
/// embedding.
std::vector<LinearLayer> find_linear_layers(const Graph& graph);

/// Every embedding whose table is a parameter, in graph order: of token ids, of positions.
std::vector<LinearLayer> find_embeddings(const Graph& graph);

/// Nodes [begin, end) of one repeated block ("model.layers.3").
struct Block {
  std::string name;
  NodeId begin = 0, end = 0;
  bool operator==(const Block&) const = default;
};

/// The longest run of numbered sibling modules ("model.layers.0", "model.layers.1", ...), found by
/// module paths, not by names of architectures: the parent whose numbered children hold the most
/// nodes. Each is one range of nodes with one value entering it; a node between two blocks belongs
/// to the first. Empty when no module is numbered.
/// @throws c10::ValueError when nodes of two blocks interleave, or not exactly one value enters a
/// block.
std::vector<Block> find_blocks(const Graph& graph);
/// Null for a layer outside of them.
const Block* block_of(const std::vector<Block>& blocks, const LinearLayer& layer);

/// Quantizers of one linear layer.
struct LayerQuantizers {
  std::optional<Quantizer> weight;  ///< on the [out, in] weight, after the transposition
  std::optional<Quantizer> input;
};

/// Puts quantizers on weights and inputs of layers (key: LinearLayer::name), named NAME.weight and
/// NAME.input; one that is there already is replaced, the others stay. A quantizer with a static
/// scale and no constant parameters reads the graph's parameters NAME.input_scale and
/// NAME.input_zero_point (when asymmetric; NAME.weight_... alike). One pass for any number of
/// layers. Node ids change: find layers and blocks anew.
/// @throws c10::ValueError when a layer is not in the graph.
Graph place_quantizers(const Graph& graph, const std::map<std::string, LayerQuantizers>& layers);

/// One rule: layers whose names match get these quantizers. Patterns as in base/text.h.
struct Placement {
  std::string pattern;
  LayerQuantizers quantizers;
};

/// The same by patterns of layer names, in order: of two rules that match a layer, the later one
/// decides.
/// @throws c10::ValueError when a pattern matches no layer.
Graph place_by_patterns(const Graph& graph, const std::vector<Placement>& rules);

/// The same for one layer, found in `graph` by its name.
Graph quantize_weight(const Graph& graph, const LinearLayer& layer, const Quantizer& quantizer);
Graph quantize_input(const Graph& graph, const LinearLayer& layer, const Quantizer& quantizer);

}  // namespace laconic::graph
