#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "laconic/calibrate/activations.h"
#include "laconic/calibrate/segments.h"
#include "laconic/graph/run.h"

namespace laconic {

/// How far what leaves a block is from what leaves it in the float network.
class BlockLoss {
 public:
  /// A block in one network, with the calibration windows at its beginning or its end.
  struct Passage {
    const graph::Runner* runner;
    graph::NodeId begin, end;
    const Activations* activations;
  };
  /// Everything must outlive the object.
  /// @param block       its activations are those that enter.
  /// @param target      its activations are those that leave; of the float network.
  /// @param parameters  of the block, but for the weights that a call gives.
  /// @param weights     of the squared differences, as fisher_weights gives them; empty: all 1.
  BlockLoss(const Passage& block, const Passage& target, const graph::Parameters& parameters,
            std::vector<const LayerTask*> tasks, std::vector<at::Tensor> weights = {});

  /// The values that a block makes and those behind it use.
  static std::vector<graph::Value> leaving(const Passage& passage);

  /// Mean squared difference, 0-dim, with gradients to `weights` where autograd records.
  /// @param weights  [out, in], one for each task.
  at::Tensor operator()(const std::vector<int64_t>& windows,
                        const std::vector<at::Tensor>& weights) const;

 private:
  Passage block_, target_;
  const graph::Parameters* parameters_;
  std::vector<const LayerTask*> tasks_;
  std::vector<at::Tensor> weights_;
  std::vector<graph::Value> leaving_, wanted_;  ///< floating values made in the block, used behind
};

}  // namespace laconic
