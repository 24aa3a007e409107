#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "laconic/quant/quantizer/quant_spec.h"
#include "laconic/transform/statistics.h"

namespace laconic::transform {

/// A weight before it is quantized.
struct FutureWeight {
  at::Tensor weight;  ///< [out, in] float32
  QuantSpec spec;     ///< its quantizer, by whose statistic scales are found

  /// Elements of a row that share a scale: a group of the spec, or the whole row.
  int64_t run() const;
};

/// The same from the spec and the number of inputs.
int64_t run_of(const QuantSpec& spec, int64_t inputs);

/// A stored weight as [out, in], and back.
at::Tensor oriented(const at::Tensor& stored, const graph::LinearLayer& layer);

/// What the layer's weight will be quantized by; nullptr: it stays in float.
const QuantSpec* find_spec(const FloatNetwork& network, const graph::LinearLayer& layer);

/// The layer's weight, read, and its quantizer, which there must be.
FutureWeight read_future(const FloatNetwork& network, const graph::LinearLayer& layer);

/// An input and the layers that read it, with weights that nothing else reads and that will be
/// quantized.
struct SharedInput {
  WatchedInput input;
  std::vector<graph::LinearLayer> layers;
};
/// In the order of the graph.
std::vector<SharedInput> find_shared_inputs(const FloatNetwork& network);

}  // namespace laconic::transform
