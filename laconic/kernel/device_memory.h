#pragma once

#include <c10/core/Device.h>

#include <cstdint>

namespace laconic::kernel {

/// Lets LibTorch's allocator take at most `bytes` of a CUDA device's memory from now on: what does
/// not fit then is an error, not more memory. The context of CUDA itself is not among it.
/// @throws c10::ValueError for more than the device has; c10::NotImplementedError in a build
/// without CUDA.
void limit_device_memory(c10::Device device, uint64_t bytes);

/// Lets device_peak count from now on.
void count_device_peak_anew(c10::Device device);

/// The most that LibTorch's allocator had of the device's memory, bytes.
uint64_t device_peak(c10::Device device);

}  // namespace laconic::kernel
