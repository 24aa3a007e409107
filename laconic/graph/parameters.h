#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace laconic::graph {

/// What can be known of a parameter without its numbers.
struct Description {
  std::vector<int64_t> shape;
  at::ScalarType dtype = at::kFloat;  ///< that it is stored in
};

/// Where a runner gets the parameters of a graph: a mapped checkpoint, a native directory, a table.
class Parameters {
 public:
  virtual ~Parameters() = default;
  /// The parameter as it is computed with (dtype and device of the source's options).
  /// @throws c10::ValueError naming it when absent.
  virtual at::Tensor get(const std::string& name) const = 0;
  /// Some rows of a parameter, as `get` has them: what an embedding looks up, without the whole
  /// table in memory where the source can.
  /// @param indices  [n] int64. @throws c10::ValueError naming it when absent.
  virtual at::Tensor rows(const std::string& name, const at::Tensor& indices) const;
  virtual bool has(const std::string& name) const = 0;
  /// @throws c10::ValueError naming it when absent.
  virtual Description describe(const std::string& name) const;
  /// The caller is done with it for now.
  virtual void release(const std::string& name) const { (void)name; }
};

/// Parameters in a table.
class ParameterTable : public Parameters {
 public:
  explicit ParameterTable(std::map<std::string, at::Tensor> tensors)
      : tensors_(std::move(tensors)) {}
  at::Tensor get(const std::string& name) const override;
  bool has(const std::string& name) const override { return tensors_.contains(name); }

 private:
  std::map<std::string, at::Tensor> tensors_;
};

/// A source whose parameters are partly replaced by a table (a block with its solved weights).
class OverlaidParameters : public Parameters {
 public:
  OverlaidParameters(const Parameters& below, std::map<std::string, at::Tensor> above)
      : below_(below), above_(std::move(above)) {}
  at::Tensor get(const std::string& name) const override;
  at::Tensor rows(const std::string& name, const at::Tensor& indices) const override;
  bool has(const std::string& name) const override {
    return above_.contains(name) || below_.has(name);
  }
  Description describe(const std::string& name) const override;
  void release(const std::string& name) const override;
  void set(const std::string& name, at::Tensor tensor) { above_[name] = std::move(tensor); }

 private:
  const Parameters& below_;
  std::map<std::string, at::Tensor> above_;
};

}  // namespace laconic::graph
