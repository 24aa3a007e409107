#pragma once

#include <string>
#include <vector>

#include "laconic/load/language_model.h"
#include "laconic/recipe/recipe.h"

namespace laconic {

/// What the patterns of rules mean for one model, which must outlive this. Linear layers: `blocks`,
/// `head`, a whole name, or a wildcard over those of the blocks. Embeddings: `embedding` (of the
/// token ids), a whole name, or a wildcard that matches no layer of the blocks: what reaches these
/// never reaches an embedding beside them.
class LayerPatterns {
 public:
  explicit LayerPatterns(const LanguageModel& model);

  const std::vector<graph::LinearLayer>& embeddings() const { return embeddings_; }
  bool is_in_blocks(const graph::LinearLayer& layer) const;
  /// @param layer  of model.layers or embeddings().
  bool matches(const LayerPattern& pattern, const graph::LinearLayer& layer) const;
  /// @throws c10::ValueError for a pattern that matches nothing: its "file:line:column" and the
  /// nearest name; also for a model without a linear layer.
  void check(const std::vector<LayerRule>& rules) const;

 private:
  bool reaches_blocks(const LayerPattern& pattern) const;
  std::string nearest_layer(const std::string& pattern) const;

  const LanguageModel& model_;
  std::vector<graph::LinearLayer> embeddings_;
};

}  // namespace laconic
