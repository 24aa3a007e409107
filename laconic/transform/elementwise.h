#pragma once

#include <vector>

#include "laconic/transform/network.h"

namespace laconic::transform {

/// Features that linear layers write and one linear layer reads, each of them made of the same
/// feature of every writer, whatever the functions between: they may be copied or put in another
/// order.
struct ElementwiseRegion {
  std::vector<graph::LinearLayer> writers;  ///< with weights and biases that nothing else reads
  graph::LinearLayer reader;
  int64_t width = 0;
};

/// In the order of their readers.
std::vector<ElementwiseRegion> find_elementwise_regions(const FloatNetwork& network);

}  // namespace laconic::transform
