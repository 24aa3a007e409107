#pragma once

#include <map>
#include <string>
#include <vector>

#include "laconic/calibrate/engine.h"
#include "laconic/load/native/native.h"
#include "laconic/recipe/recipe.h"

namespace laconic {

/// What a recipe means for one model.
struct QuantizationPlan {
  std::vector<LayerPlan> layers;                  ///< those to quantize: embeddings, then the
                                                  ///< linear layers, in the model's order
  std::map<std::string, const LayerRule*> rules;  ///< by layer name; they point into the recipe
  std::vector<NativeLayer> outcome;               ///< what the native directory will hold
  bool needs_calibration = false;
};

/// Resolves the recipe's rules for the linear layers and embeddings of the model: the last rule
/// that matches wins (layer_patterns.h). An embedding and the head that is tied to it are one
/// layer, the embedding, when both get the same.
/// @throws c10::ValueError with the rule's "file:line:column" for a pattern that matches no layer
/// (with the
///         nearest name), for a group size that a matched layer's shape does not fit, and for an
///         embedding's solver or input that only a linear layer can have; also when no layer is
///         left.
QuantizationPlan plan_quantization(const Recipe& recipe, const LanguageModel& model,
                                   const Parts& parts = {});

}  // namespace laconic
