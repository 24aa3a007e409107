#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "laconic/file/safetensors/safetensors.h"

namespace laconic::golden {

/// One tensor that a case names.
struct TensorReference {
  std::string key;
  std::vector<int64_t> shape;
  std::string dtype;
};
using TensorReferences = std::map<std::string, TensorReference>;

/// |got - want| <= atol + rtol * |want| for all but the fraction `mismatch` of the elements.
struct Tolerance {
  double rtol = 1e-5, atol = 1e-6, mismatch = 0;
};

/// One recorded case of the format in tests/golden/README.md.
struct Case {
  std::string id, area, op;
  nlohmann::json options, expect;
  TensorReferences inputs, outputs, grads;
  std::set<std::string> none;  ///< roles without a tensor
  Tolerance tolerance;
  std::shared_ptr<const SafetensorsFile> file;

  /// A tensor as recorded. @throws c10::ValueError when it is absent or is not as the case says.
  at::Tensor read(const std::string& role, const TensorReference& reference) const;
  at::Tensor input(const std::string& name) const;
  bool has_input(const std::string& name) const { return inputs.count(name) > 0; }
};

/// Reads `directory`/manifest.json; the tensor files stay closed.
/// @throws c10::ValueError for an absent or malformed folder.
std::vector<Case> read_manifest(const std::filesystem::path& directory);

}  // namespace laconic::golden
