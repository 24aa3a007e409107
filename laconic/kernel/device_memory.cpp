#include "laconic/kernel/device_memory.h"

#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/util/Exception.h>

#ifdef LACONIC_CUDA
#include "laconic/kernel/cuda/memory_cuda.h"
#endif

namespace laconic::kernel {
namespace {

c10::DeviceAllocator& allocator_of(c10::Device device) {
  at::globalContext().lazyInitDevice(device.type());
  return *c10::getDeviceAllocator(device.type());
}

}  // namespace

void limit_device_memory(c10::Device device, uint64_t bytes) {
#ifdef LACONIC_CUDA
  if (device.is_cuda()) return cuda::limit_memory(device, bytes);
#endif
  TORCH_CHECK_NOT_IMPLEMENTED(false, "[device memory] a limit of ", bytes, " bytes on ", device,
                              ": expected a CUDA device and a build with -DLACONIC_CUDA=ON "
                              "(docs/building.md).");
}

void count_device_peak_anew(c10::Device device) {
  allocator_of(device).resetPeakStats(device.index());
}

uint64_t device_peak(c10::Device device) {
  const auto stats = allocator_of(device).getDeviceStats(device.index());
  const auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return static_cast<uint64_t>(stats.reserved_bytes[all].peak);
}

}  // namespace laconic::kernel
