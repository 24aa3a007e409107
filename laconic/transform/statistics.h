#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "laconic/calibrate/feature_moments.h"
#include "laconic/transform/network.h"

namespace laconic::transform {

/// A value to look at, before node `stop` runs.
struct WatchedInput {
  graph::NodeId stop = -1;
  graph::Value value;
  std::string layer;  ///< for messages
};

/// Of each feature over all positions of all windows, on TransformContext::device. Undefined where
/// there were none (an expert that no token was routed to).
struct InputStatistics {
  at::Tensor maximum;  ///< [n] float32, largest |x|
  at::Tensor mean;     ///< [n] float32, mean |x|
  at::Tensor hessian;  ///< [n, n] float32, X^T X / rows; undefined unless asked for
  int64_t rows = 0;
};

/// What a report says of a layer without such positions.
std::string unreached(const std::string& layer);

using Products = FeatureMoments::Products;
using SeeInput = std::function<void(size_t watched, const InputStatistics&)>;

/// Runs the network's calibration windows through it block by block and shows the statistics of
/// each input when they are known; one input's are in memory at a time. With
/// TransformContext::statistics nothing is run.
/// @param watched  in the order of their stops.
/// @throws c10::ValueError naming the layer for an input that is not finite, or saying that there
/// are no windows.
void visit_inputs(const FloatNetwork& network, const std::vector<WatchedInput>& watched,
                  Products products, const SeeInput& see);

}  // namespace laconic::transform
