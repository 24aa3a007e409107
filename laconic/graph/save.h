#pragma once

#include <filesystem>

#include "laconic/graph/graph.h"

namespace laconic::graph {

/// Writes a graph with its quantizers as one safetensors file, whole or not at all: the nodes as
/// JSON in the metadata ("laconic.graph", with a format_version), scales, zero points and constant
/// tensors as tensors. The network's parameters are not in it: they stay in the checkpoint.
/// @throws c10::ValueError for a graph that `check` refuses, or naming the node with a constant
/// that has no written form (a generator, a complex number); c10::Error when writing fails.
void save_graph(const Graph& graph, const std::filesystem::path& path);

/// Reads what `save_graph` wrote: an equal graph, bit for bit. The file is not trusted: structure,
/// kinds and numbers are checked, and calls of operators that are unknown, change a tensor in place
/// or open files are refused.
/// @throws c10::ValueError naming the file and the node.
Graph load_graph(const std::filesystem::path& path);

}  // namespace laconic::graph
