#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "laconic/calibrate/feature_moments.h"
#include "laconic/calibrate/memory_plan.h"
#include "laconic/transform/network.h"

namespace laconic::transform {

/// What a transform takes of main memory, bytes, told from shapes alone.
struct TransformNeeds {
  /// What it makes of the statistics of an input while the windows wait, by one of the layers that
  /// read the input; empty: it looks at none.
  std::map<std::string, int64_t> looks = {};
  FeatureMoments::Products products = FeatureMoments::Products::kNone;  ///< of those inputs
  /// The same without windows, one for each thing that it works on.
  std::vector<SegmentNeeds> others = {};
  int64_t kept = 0;  ///< of its result, to the end of the job

  /// It works on `layer` with so many bytes.
  void work_on(const std::string& layer, int64_t bytes);
};

/// A parameter as float32.
int64_t float_bytes(const FloatNetwork& network, const std::string& parameter);
/// A square matrix of the features that the layer multiplies, float32.
int64_t matrix_bytes(const FloatNetwork& network, const graph::LinearLayer& layer);
/// One float32 for each of `count`.
constexpr int64_t vector_bytes(int64_t count) { return count * 4; }

}  // namespace laconic::transform
