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

/// A stored tensor with more slices along `dim` at the end.
using Lengthen = std::function<at::Tensor(const at::Tensor& stored, int64_t dim)>;

/// Gives a region `more` features: rows (and biases) of its writers, columns of its reader.
void lengthen(const FloatNetwork& network, const ElementwiseRegion& region, int64_t more,
              const Lengthen& rows, const Lengthen& columns, Changes& changes);

}  // namespace laconic::transform
