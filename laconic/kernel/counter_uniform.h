#pragma once

#include <ATen/core/ATen_fwd.h>

#include <cstdint>

namespace laconic::kernel {

/// Which random numbers: every pair names an endless sequence of its own.
struct RandomStream {
  int64_t seed = 0;
  int64_t draw = 0;  ///< the how-manieth use of the seed: a training step, say
};

/// Random numbers in [0, 1), one for each element of `like` by its place in row-major order,
/// whatever its strides: the same for any number of threads and on any device.
/// @returns  the shape and device of `like`; float64 of 53 bits for a float64 `like`, else float32
///           of 24 bits.
at::Tensor counter_uniform(const RandomStream& stream, const at::Tensor& like);

}  // namespace laconic::kernel
