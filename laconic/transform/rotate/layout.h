#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>

#include "laconic/graph/graph.h"

namespace laconic::transform {

/// Follows features through operations that only move them (views, transpositions, splits, copies):
/// what a value of batch 1 and length 1 holds is told by numbers in place of its elements.
class LayoutWalk {
 public:
  explicit LayoutWalk(const graph::Graph& graph);

  /// Called for each use of the features by an operation of another kind.
  /// @param labels  where the features of the start lie in what the node reads.
  using Visit = std::function<void(graph::NodeId user, size_t argument, const at::Tensor& labels)>;

  /// @param labels  int64, of the shape that `from` has for batch 1 and length 1.
  /// @param through_maps  go on also through operations that keep the shape (rope, norms), for
  /// shapes.
  void walk(const graph::Value& from, const at::Tensor& labels, const Visit& visit,
            bool through_maps = false) const;

 private:
  at::Tensor moved(graph::NodeId id, int32_t output, const at::Tensor& labels) const;

  const graph::Graph& graph_;
  std::vector<std::vector<graph::NodeId>> users_;
};

}  // namespace laconic::transform
