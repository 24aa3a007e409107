#pragma once

#include <c10/core/Device.h>

namespace laconic::kernel {

/// While it lives, what LibTorch does on a device gives the same bits each time: sums of gradients
/// by the order of their terms, not by that in which threads come. Nothing for the CPU, which does
/// so always.
/// Operations that cannot are refused by c10::NotImplementedError of LibTorch's.
class SameEachTime {
 public:
  explicit SameEachTime(at::Device device);
  ~SameEachTime();
  SameEachTime(const SameEachTime&) = delete;
  SameEachTime& operator=(const SameEachTime&) = delete;

 private:
  bool changes_, was_on_, warned_only_, filled_;
};

}  // namespace laconic::kernel
