#pragma once

#include <map>
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

/// One for each node that mixes values over positions (attention of either operator, or a product
/// of probabilities and values).
std::vector<HeadRegion> find_heads(const FloatNetwork& network);

/// Features of a query for each attention node with queries and keys, where they can be told.
std::map<graph::NodeId, int64_t> find_query_sizes(const FloatNetwork& network);

}  // namespace laconic::transform
