#include "laconic/export/obstacles.h"

#include <algorithm>

namespace laconic {

void LayerObstacles::add(const std::string& layer, const std::string& reason) {
  if (reason.empty()) return;
  const auto same = std::find_if(kinds_.begin(), kinds_.end(),
                                 [&](const Kind& kind) { return kind.reason == reason; });
  if (same == kinds_.end())
    kinds_.push_back({reason, layer});
  else
    ++same->others;
}

std::vector<std::string> graph_obstacles(const std::vector<std::string>& changes) {
  std::vector<std::string> sentences;
  for (const std::string& change : changes) {
    if (change == "attention") {
      sentences.emplace_back(
          "the recipe quantizes what attention reads, which this format does not "
          "hold: leave attention out of the recipe, and choose the cache's type "
          "where the model runs.");
      continue;
    }
    sentences.push_back("the transform " + change +
                        " made the network another than its architecture's, which readers of this "
                        "format would run: leave it out of the recipe.");
  }
  return sentences;
}

std::vector<std::string> LayerObstacles::sentences() const {
  std::vector<std::string> sentences;
  for (const Kind& kind : kinds_) {
    const std::string more =
        kind.others == 0 ? "" : " (and " + std::to_string(kind.others) + " more)";
    sentences.push_back("layer " + kind.layer + more + " " + kind.reason + ".");
  }
  return sentences;
}

}  // namespace laconic
