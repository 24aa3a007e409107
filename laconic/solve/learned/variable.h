#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "laconic/solve/solve.h"

namespace laconic::learned_rounding {

/// One layer's weight as a function of numbers that are learned.
class Variable {
 public:
  Variable() = default;
  virtual ~Variable() = default;
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

  /// The weight to run the network with: [out, in] float32.
  virtual at::Tensor weight() = 0;
  /// Moves the learned numbers.
  /// @param gradient  of the loss by the last `weight()`; undefined: none reached it.
  /// @param step      from 0 on.
  virtual void step(const at::Tensor& gradient, int64_t step) = 0;
  /// The learned numbers, copied.
  virtual std::vector<at::Tensor> state() const = 0;
  virtual void restore(const std::vector<at::Tensor>& state) = 0;
  /// Codes and parameters of the present state.
  virtual LayerSolution solution() = 0;
};
using Variables = std::vector<std::unique_ptr<Variable>>;

}  // namespace laconic::learned_rounding
