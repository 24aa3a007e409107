#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "laconic/base/disk_memory.h"
#include "laconic/graph/run.h"

namespace laconic {

/// Where is what the windows carry while they wait.
struct ActivationPlace {
  bool in_main_memory = false;                 ///< also of windows that run on another device
  std::shared_ptr<DiskMemory> disk = nullptr;  ///< of what is in main memory; null: not on disk
};

/// Memory for what the calibration windows carry from node to node: one allocation for one value of
/// all windows. A tensor of its own for each batch would live among many short-lived ones and leave
/// holes in the heap (seen: 1.8 times the memory).
class ActivationStore {
 public:
  explicit ActivationStore(int64_t windows, ActivationPlace place = {})
      : windows_(windows), place_(std::move(place)) {}

  /// The same, without any value yet.
  ActivationStore another() const { return ActivationStore(windows_, place_); }

  /// Moves the values of the windows [first, first + count) into the store: those whose first
  /// dimension is `count`; others stay where they are. Memory of values that these windows no
  /// longer carry is used again.
  void keep(int64_t first, int64_t count, graph::Environment& environment);

  /// Lets what lies on disk leave main memory until it is used again: all that is here, and values
  /// of another store of the same disk.
  void drop(const graph::Environment& environment) const;

  /// Gives back what no `keep` has used since the last call.
  void release_unused();

 private:
  struct Slab {
    at::Tensor rows;  ///< [windows, elements of one window]
    bool is_used = true;
  };
  Slab* find_slab(const at::Tensor& tensor, const std::vector<bool>& is_taken);
  at::Tensor new_rows(int64_t elements, const at::Tensor& like) const;

  int64_t windows_;
  ActivationPlace place_;
  std::vector<Slab> slabs_;
};

}  // namespace laconic
