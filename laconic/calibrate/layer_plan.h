#pragma once

#include <optional>
#include <string>
#include <vector>

#include "laconic/graph/match.h"
#include "laconic/quant/quantizer/quant_spec.h"

namespace laconic {

/// What becomes of the mean error of a layer's output.
enum class BiasCorrection {
  kNone,   ///< it stays
  kLayer,  ///< into the bias: the output is, in the mean, that of the float weight on these inputs
  kFloat,  ///< into the bias: it is, in the mean, that of the float network
};

/// What is to be done with one layer. An embedding needs no statistics and has no input.
struct LayerPlan {
  graph::LinearLayer layer;  ///< of LanguageModel::layers, or of graph::find_embeddings
  QuantSpec weight;
  std::optional<QuantSpec> input;
  bool needs_hessian = false;
  bool needs_mismatch = false;  ///< and the Hessian
  /// Solved together with all such layers of its block (EngineOptions::solve_block).
  bool is_joint = false;
  /// The block's error weighted by what it matters to the network (calibrate/fisher_weights.h).
  bool has_fisher = false;
  std::vector<std::string> notes = {};  ///< for the layer's report
  BiasCorrection bias =
      BiasCorrection::kNone;  ///< others need the Hessian, kFloat the mismatch too
  /// Layers that read the same weight and go with it: the head of a tied embedding.
  std::vector<std::string> tied = {};

  /// Whether the input's scale is to be found on the calibration windows.
  bool has_static_input() const;
};

}  // namespace laconic
