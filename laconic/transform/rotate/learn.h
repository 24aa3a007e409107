#pragma once

#include <string>
#include <vector>

#include "laconic/calibrate/memory_plan.h"
#include "laconic/transform/rotate/rotation.h"

namespace laconic::transform {

/// Sites of one rotation that is to be found.
struct LearnedRegion {
  std::vector<Site> sites;
  int64_t size = 0;
};

struct RotationLearning {
  int64_t steps = 100;
  int64_t batch = 1;               ///< windows a step
  double rate = 1.5;               ///< of the first step; it falls in a line to zero
  bool quantizes_weights = false;  ///< on the way to the loss; inputs always are
};

/// The cross-entropy of the network with its quantizers over windows that it does not learn on: the
/// last eighth, at most 16; over those that it does learn on where there are fewer than 8.
struct LearningOutcome {
  double loss_before = 0, loss_after = 0;  ///< never more than before
  int64_t best_step = 0;                   ///< whose rotations were taken; 0: those of the start
};

/// What learning takes of memory: rotated weights and their gradients, and all that windows
/// leave for the way back, TransformContext::batch at once.
SegmentNeeds learning_needs(const FloatNetwork& network, const std::vector<LearnedRegion>& regions,
                            const RotationLearning& options);

/// Rotates each region by the matrix with the least cross-entropy of the quantized network's next
/// tokens: Cayley SGD from the identity, quantizers passed straight through. SpinQuant,
/// arXiv:2405.16406. Unlike there the best of a few looks on the way is taken, the start among
/// them: steps through quantizers may end worse. Needs the memory of training
/// (learning_needs).
/// @throws c10::ValueError when nothing is quantized on the way, or without windows.
LearningOutcome learn_rotations(FloatNetwork& network, const std::vector<LearnedRegion>& regions,
                                const RotationLearning& options);

}  // namespace laconic::transform
