#pragma once

#include <ATen/core/ATen_fwd.h>

namespace laconic::kernel {

/// Memory for a result: contiguous, of the shape, type and device of `x`, without gradient. Large
/// ones are asked for in pages of 2 MiB where Linux gives such on demand (transparent_hugepage
/// "madvise"): writing 64 MiB then waits for 32 pages, not for 16,384. The large ones that were
/// freed last, 128 MiB together at most, are kept and given again.
at::Tensor fresh_like(const at::Tensor& x);

}  // namespace laconic::kernel
