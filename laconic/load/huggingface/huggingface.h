#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "laconic/file/safetensors/safetensors.h"
#include "laconic/graph/graph.h"
#include "laconic/model/network.h"

namespace laconic {

/// Name and shape of a stored tensor, whatever it is stored in.
struct StoredTensor {
  std::string name;
  at::ScalarType dtype;
  std::vector<int64_t> shape;
};

/// What the files of a directory hold.
struct StoredTensors {
  std::string where;  ///< for messages
  std::map<std::string, StoredTensor> tensors;
  /// Whether two tensors of the same shape hold the same numbers.
  std::function<bool(const std::string&, const std::string&)> equal;
};
StoredTensors stored_tensors(const std::filesystem::path& directory, const Checkpoint& checkpoint);

/// A network traced for the tensors that are there.
struct TracedModel {
  graph::Graph graph;
  int64_t vocabulary_size = 0, maximum_length = 0;
};

/// Makes the module on the meta device (it costs no memory), holds its parameters against `stored`,
/// and traces it. Names follow the files: with or without the body's prefix; a tied head that is
/// stored with other numbers is not tied, as in the reference.
/// @throws c10::ValueError naming the file and the tensor that is missing, of another shape or
/// kind, or unexpected.
TracedModel trace_model(const model::Config& config, const model::Architecture& architecture,
                        const StoredTensors& stored);

}  // namespace laconic
