#pragma once

#include "laconic/graph/graph.h"

namespace laconic::graph {

struct InputShape {
  int64_t batch, length;
};

/// Two traces of one network as one graph: whole numbers that differ become sizes.
/// @throws c10::ValueError naming node and module where the two cannot be one graph.
Graph merge_traces(const Graph& first, InputShape first_shape, const Graph& second,
                   InputShape second_shape);

}  // namespace laconic::graph
