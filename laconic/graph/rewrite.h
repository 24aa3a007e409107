#pragma once

#include <map>
#include <vector>

#include "laconic/graph/graph.h"

namespace laconic::graph {

/// Where things moved to when a graph was rewritten: old node -> new node, -1 when it is gone.
using NodeMap = std::vector<NodeId>;

/// Nodes to put before a node that exists. They may use nodes before it, and each other by
/// Value{-1 - i} for node i of the list; `redirect` maps arguments of the old node to such values.
struct Insertion {
  std::vector<Node> nodes;
  std::map<size_t, Value> redirect;  ///< argument of the node -> what it uses instead
};

/// All insertions at once (key: the node they go before). One pass over the graph.
Graph insert_before(const Graph& graph, const std::map<NodeId, Insertion>& insertions,
                    NodeMap* moved = nullptr);

/// Every user of `from` uses `to` instead; `to` must come before them.
/// @throws c10::ValueError when it does not.
Graph replace_uses(const Graph& graph, Value from, Value to);

/// Without the nodes that nothing uses (inputs and operators that change a tensor in place stay).
Graph remove_unused(const Graph& graph, NodeMap* moved = nullptr);

/// Users of each node, in order.
std::vector<std::vector<NodeId>> users(const Graph& graph);

}  // namespace laconic::graph
