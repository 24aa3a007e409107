#pragma once

#include <chrono>
#include <memory>

#include "laconic/processes/processes.h"

namespace laconic {

struct NcclOptions {
  /// Fewer are sooner there through main memory.
  size_t least_bytes = size_t{256} << 10;
  /// How long a device waits for the others once all have come.
  std::chrono::seconds patience{60};
};

/// The same processes, whose larger sums and broadcasts of tensors on CUDA go from device to device
/// over NCCL. The others agree on each of them first: all come, or one that is gone is noticed as
/// ever. The devices are joined at the first one; where they cannot be (two processes on one
/// device, no NCCL) all numbers go over the others, and notes() says why. In builds with
/// LACONIC_CUDA only.
std::unique_ptr<Processes> with_nccl(std::unique_ptr<Processes> others, NcclOptions options = {});

}  // namespace laconic
