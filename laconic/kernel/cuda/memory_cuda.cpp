#include "laconic/kernel/cuda/memory_cuda.h"

#include <ATen/Context.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/util/Exception.h>

namespace laconic::kernel::cuda {

void limit_memory(c10::Device device, uint64_t bytes) {
  at::globalContext().lazyInitDevice(at::kCUDA);
  auto* const allocator = c10::cuda::CUDACachingAllocator::get();
  const auto total = static_cast<uint64_t>(allocator->getMemoryInfo(device.index()).second);
  TORCH_CHECK_VALUE(bytes <= total, "--device-memory: expected at most the ", total, " bytes that ",
                    device, " has, got ", bytes, ".");
  // What earlier work left unused would count.
  allocator->emptyCache();
  allocator->setMemoryFraction(static_cast<double>(bytes) / static_cast<double>(total),
                               device.index());
}

}  // namespace laconic::kernel::cuda
