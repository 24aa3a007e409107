#pragma once

#include "laconic/graph/graph.h"

namespace laconic::graph {

/// torch::nn::Linear of C++ calls matmul(x, W^T) and adds b, or addmm(b, x, W^T): each such group,
/// with W a parameter NAME.weight and b the parameter NAME.bias, becomes one aten::linear of module
/// NAME, so that layers are found and quantized. The same function up to rounding.
Graph fuse_linear(const Graph& graph);

}  // namespace laconic::graph
