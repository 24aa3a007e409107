#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "laconic/graph/graph.h"
#include "laconic/model/architectures.h"

namespace laconic::model {

struct ParameterShape {
  std::string name;
  std::vector<int64_t> shape;
};

/// A model made from a configuration, without numbers: its parameters are on the meta device and
/// cost no memory.
class Network {
 public:
  /// @throws as Config for a field that is absent, wrong or not supported.
  Network(const Config& config, const Architecture& architecture);
  int64_t vocabulary_size() const;
  int64_t maximum_length() const;
  /// The embedding of the ids comes first. A tied head is not among them.
  std::vector<ParameterShape> parameters() const;
  /// The traced network; `rename` turns the architecture's names into those of the checkpoint.
  graph::Graph graph(const std::function<std::string(const std::string&)>& rename = {}) const;

 private:
  std::shared_ptr<LanguageModule> module_;
};

}  // namespace laconic::model
