#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "laconic/transform/rotate/rotation.h"

namespace laconic::transform {

/// Values of one attention, head by head: written by rows of linear layers, mixed over positions,
/// read by columns of linear layers. One rotation of a head's features, the same for every head,
/// goes through.
struct HeadRegion {
  graph::NodeId attention = -1;
  int64_t size = 0;  ///< features of a head
  std::vector<Site> sources, sinks;
  std::string obstacle;  ///< why it cannot be rotated; empty when it can
};

/// Which argument of a node is mixed over positions (values of attention of either operator, or of
/// a product of probabilities and values); nothing for a node that does no such thing.
std::optional<size_t> mixed_argument(const graph::Node& node);

/// One for each node that mixes values over positions (attention of either operator, or a product
/// of probabilities and values).
std::vector<HeadRegion> find_heads(const FloatNetwork& network);

/// Shape of the queries, for batch 1 and length 1, for each attention node with queries and keys,
/// where it can be told; and their features alone.
std::map<graph::NodeId, std::vector<int64_t>> find_query_shapes(const FloatNetwork& network);
std::map<graph::NodeId, int64_t> find_query_sizes(const FloatNetwork& network);

/// Linear layers whose results are queries or keys of attention (or hold them).
std::set<graph::NodeId> find_score_layers(const FloatNetwork& network);

}  // namespace laconic::transform
