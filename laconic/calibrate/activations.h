#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <vector>

#include "laconic/base/progress.h"
#include "laconic/calibrate/activation_store.h"
#include "laconic/graph/run.h"

namespace laconic {

/// The calibration windows on their way through a graph: for each batch the values that are alive
/// at one node.
class Activations {
 public:
  /// @param windows  [n, length] int64.
  /// @param place    where they wait; they run where `windows` is.
  Activations(const graph::Runner& runner, const at::Tensor& windows, int64_t batch,
              ActivationPlace place = {});

  /// The same batches at the same place. What the copy does leaves this one's values alone.
  Activations copy() const;

  int64_t count() const { return count_; }  ///< of windows
  /// Whether it stands before `node`.
  bool is_at(graph::NodeId node) const { return position_ == node; }

  /// Runs every batch from where it stands to `node`, and leaves it there.
  void advance(graph::NodeId node, const graph::Parameters& parameters, Progress& progress);

  /// Shows `value`, as it is before node `stop`, of every batch in order. The batches stay where
  /// they stand, or move on where that saves work and costs little memory (at most about twice the
  /// activations that entered the block, or 256 MiB).
  void visit(graph::NodeId stop, const graph::Value& value, const graph::Parameters& parameters,
             Progress& progress, const std::function<void(const at::Tensor&)>& see);

  /// `visit` of two networks in step: the same windows at the same time. Both have the same
  /// batches.
  struct Place {
    Activations& activations;
    graph::NodeId stop;
    graph::Value value;
    const graph::Parameters& parameters;
  };
  static void visit_both(const Place& a, const Place& b, Progress& progress,
                         const std::function<void(const at::Tensor&, const at::Tensor&)>& see);

  /// What entered the block is now what may be kept twice.
  void begin_block();

  /// The values at this place of the windows with these numbers, as one batch, where they run.
  graph::Environment gather(const std::vector<int64_t>& windows) const;

 private:
  at::Tensor look(size_t i, const Place& place, graph::NodeId keep);
  void leave(graph::NodeId keep);
  graph::NodeId choose_keeping_point(graph::NodeId stop, const graph::Parameters& parameters) const;

  size_t batch_of(int64_t window) const;
  void bring(graph::Environment& environment) const;
  void move(size_t batch, graph::NodeId node, const graph::Parameters& parameters);

  const graph::Runner& runner_;
  int64_t count_;  ///< of all windows
  at::Device device_;
  ActivationStore store_;
  std::vector<graph::Environment> batches_;
  std::vector<int64_t> first_, windows_;  ///< of each batch: its first window, how many
  graph::NodeId position_ = 0;
  int64_t entered_bytes_ = 0;  ///< of the first batch
};

}  // namespace laconic
