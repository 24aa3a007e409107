#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "laconic/graph/run.h"

namespace laconic {

/// Memory for what the calibration windows carry from node to node: one allocation for one value of
/// all windows. A tensor of its own for each batch would live among many short-lived ones and leave
/// holes in the heap (seen: 1.8 times the memory).
class ActivationStore {
 public:
  explicit ActivationStore(int64_t windows) : windows_(windows) {}

  /// Moves the values of the windows [first, first + count) into the store: those whose first
  /// dimension is `count`; others stay where they are. Memory of values that these windows no
  /// longer carry is used again.
  void keep(int64_t first, int64_t count, graph::Environment& environment);

  /// Gives back what no `keep` has used since the last call.
  void release_unused();

 private:
  struct Slab {
    at::Tensor rows;  ///< [windows, elements of one window]
    bool is_used = true;
  };
  Slab* find_slab(const at::Tensor& tensor, const std::vector<bool>& is_taken);

  int64_t windows_;
  std::vector<Slab> slabs_;
};

}  // namespace laconic
