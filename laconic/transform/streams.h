#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "laconic/transform/network.h"

namespace laconic::transform {

/// The dimension of a stored tensor along which the features of a value lie.
struct Part {
  std::string parameter;
  int64_t dim = 0;    ///< of the tensor as it is stored
  std::string layer;  ///< module that reads the parameter
};

/// The parameter [..., features] that a router, or a product, multiplies the features of one of its
/// arguments by; nothing for another kind of node, or another argument.
std::optional<Part> weight_of_features(const FloatNetwork& network, graph::NodeId user,
                                       size_t argument);

/// What stops a map of the features from going through.
struct Obstacle {
  graph::NodeId node = -1;
  std::string reason;
};

/// Values whose last dimension is one and the same set of features: connected by sums and other
/// operations that commute with every linear map of the features (or, as RMS norms, with every
/// orthogonal one). Found from operators alone.
struct Stream {
  int64_t width = 0;                     ///< features; 0 when no source says
  std::vector<Part> sources;             ///< what writes: rows of linear layers, embeddings, biases
  std::vector<Part> sinks;               ///< columns of linear layers and routers that read
  std::vector<graph::NodeId> rms_norms;  ///< inside, without gain or with one number as gain
  std::vector<graph::NodeId> layer_norms;  ///< that read it
  std::vector<Obstacle> obstacles;         ///< readers and writers of any other kind
  /// It may be rotated: written and read by weights that nothing else reads.
  bool is_rotatable() const {
    return width > 0 && !sources.empty() && !sinks.empty() && layer_norms.empty() &&
           obstacles.empty();
  }
};

/// All of them, in the order of their first nodes. Reads the gains of norms, no other parameter.
std::vector<Stream> find_streams(const FloatNetwork& network);

}  // namespace laconic::transform
