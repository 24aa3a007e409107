#pragma once

#include <string>
#include <vector>

#include "laconic/calibrate/engine.h"
#include "laconic/graph/match.h"

namespace laconic {

/// One layer to solve, as it stands in the graph that the engine runs.
struct LayerTask {
  const LayerPlan* plan = nullptr;
  graph::LinearLayer layer;
  std::string bias_name = {};  ///< of the bias to correct; empty: it has none of its own
};

/// Layers that multiply the same input: they share statistics and are solved together. Embeddings
/// that look up the same ids are one, too.
struct LayerGroup {
  std::vector<LayerTask> tasks;
  graph::Value input;       ///< what they multiply: after a quantizer of the input; or the ids
  graph::NodeId stop = -1;  ///< the first of the layers: the input is there before it
  bool needs_hessian = false, needs_mismatch = false;
  /// The input's own quantizer when it is static (of all tasks alike), else null.
  const QuantSpec* static_input() const;
  /// Times that the windows are to be looked at for it, in either network.
  int64_t visits() const;
  /// Whether some task is to be solved with the others of its block, or some task alone.
  bool has_joint() const;
  bool has_single() const;
};

/// A stretch of the graph that is worked on at once: a block, or what comes before and after the
/// blocks.
struct Segment {
  std::string name;
  graph::NodeId begin = 0, end = 0;
  int shard = 0;  ///< blocks: their number; else the last shard
  bool is_block = false;
  std::vector<LayerGroup> groups;  ///< in the order of their stops
  int64_t visits() const;          ///< of its groups
  bool has(const std::string& layer) const;
  bool has_joint() const;
};

/// The graph to run (with quantizers of inputs in place when the statistics are of the quantized
/// network).
struct EngineGraph {
  graph::Graph graph;
  std::vector<Segment> segments;  ///< in order, without gaps
};

/// @throws c10::ValueError for a plan whose layer shares its weight with another one that is not
/// among LayerPlan::tied: the weight cannot be replaced for the layer alone.
void check_own_weights(const LanguageModel& model, const std::vector<LayerPlan>& plans);

/// @throws c10::ValueError for a plan whose layer is not in the graph or is named twice.
EngineGraph plan_segments(const LanguageModel& model, const std::vector<LayerPlan>& plans,
                          bool quantized_inputs);

}  // namespace laconic
