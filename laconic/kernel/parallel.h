#pragma once

#include <c10/util/FunctionRef.h>

#include <cstdint>

namespace laconic::kernel {

/// Calls `body(first, last)` for parts of [begin, end) that cover it, on LibTorch's threads: one of
/// them for each `grain` numbers at most, and one alone within a loop that already is on several.
/// As at::parallel_for, which is a plain loop in every file that is not compiled for OpenMP; one
/// file is. What `body` throws is thrown here.
void parallel_for(int64_t begin, int64_t end, int64_t grain,
                  c10::function_ref<void(int64_t first, int64_t last)> body);

}  // namespace laconic::kernel
