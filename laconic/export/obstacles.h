#pragma once

#include <string>
#include <utility>
#include <vector>

namespace laconic {

/// Sentences about layers that an export cannot hold; layers with the same reason share one.
class LayerObstacles {
 public:
  /// @param reason  what the layer has and what to do, to follow its name; empty: nothing is wrong.
  void add(const std::string& layer, const std::string& reason);
  /// "layer A (and 41 more) REASON.", in the order in which reasons came up.
  std::vector<std::string> sentences() const;

 private:
  struct Kind {
    std::string reason, layer;
    int64_t others = 0;
  };
  std::vector<Kind> kinds_;
};

/// Why a network that transforms changed cannot be exported; empty for the network of config.json.
/// @param changes  NativeDirectory::graph_changes.
std::vector<std::string> graph_obstacles(const std::vector<std::string>& changes);

}  // namespace laconic
