#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "laconic/file/safetensors/safetensors.h"
#include "laconic/graph/parameters.h"

namespace laconic {

/// Parameters of a mapped checkpoint as float32. A tensor that is stored so is a view of the file;
/// another is converted when asked for and, when `resident`, kept. NaN and infinity are found and
/// named when a tensor is first read.
class CheckpointParameters : public graph::Parameters {
 public:
  /// @param where  begins messages: the directory.
  CheckpointParameters(std::shared_ptr<const Checkpoint> checkpoint, bool resident,
                       std::string where)
      : checkpoint_(std::move(checkpoint)), resident_(resident), where_(std::move(where)) {}
  at::Tensor get(const std::string& name) const override;
  /// Reads and checks these rows alone.
  at::Tensor rows(const std::string& name, const at::Tensor& indices) const override;
  bool has(const std::string& name) const override { return checkpoint_->has(name); }
  graph::Description describe(const std::string& name) const override;
  /// Lets the mapped pages go unless resident.
  void release(const std::string& name) const override;

 private:
  std::shared_ptr<const Checkpoint> checkpoint_;
  bool resident_;
  std::string where_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, at::Tensor> kept_;
  mutable std::set<std::string> checked_;
};

}  // namespace laconic
