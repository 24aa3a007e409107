#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "laconic/calibrate/block_loss.h"

namespace laconic {

/// What each number that leaves a block matters to the network: the square of the gradient of its
/// loss, the mean cross-entropy of the next token, by that number, the diagonal of the Fisher
/// information (Li et al. 2021, arXiv:2102.05426). Relative: 1 in the mean, over the windows of all
/// processes.
/// @param target      the block in the float network, its activations those that leave.
/// @param parameters  of the whole float network, whose rest is run with gradients.
/// @param windows     [n, length] int64, on the device of the activations.
/// @param batch       windows at once.
/// @param processes   with the other windows; null: there are none.
/// @returns  for each of `BlockLoss::leaving(target)` a tensor of its shape over all windows,
///           float32; undefined where a value is not floating.
std::vector<at::Tensor> fisher_weights(const BlockLoss::Passage& target,
                                       const graph::Parameters& parameters,
                                       const at::Tensor& windows, int64_t batch,
                                       Processes* processes = nullptr);

}  // namespace laconic
