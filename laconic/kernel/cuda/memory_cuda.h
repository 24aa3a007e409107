#pragma once

#include <c10/core/Device.h>

#include <cstdint>

namespace laconic::kernel::cuda {

/// kernel::limit_device_memory. In builds with LACONIC_CUDA only.
void limit_memory(c10::Device device, uint64_t bytes);

}  // namespace laconic::kernel::cuda
