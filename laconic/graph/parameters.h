#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace laconic::graph {

/// Where a runner gets the parameters of a graph: a mapped checkpoint, a native directory, a table.
class Parameters {
 public:
  virtual ~Parameters() = default;
  /// The parameter as it is computed with (dtype and device of the source's options).
  /// @throws c10::ValueError naming it when absent.
  virtual at::Tensor get(const std::string& name) const = 0;
  virtual bool has(const std::string& name) const = 0;
  /// The caller is done with it for now.
  virtual void release(const std::string& name) const { (void)name; }
};

}  // namespace laconic::graph
