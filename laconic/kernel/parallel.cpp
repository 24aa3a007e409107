#include "laconic/kernel/parallel.h"

#include <ATen/Parallel.h>

#if defined(__GNUC__) && !defined(__clang__) && !defined(INTRA_OP_PARALLEL)
#error "compile this file with -fopenmp: without it at::parallel_for has one thread"
#endif

namespace laconic::kernel {

void parallel_for(int64_t begin, int64_t end, int64_t grain,
                  c10::function_ref<void(int64_t first, int64_t last)> body) {
  at::parallel_for(begin, end, grain, body);
}

}  // namespace laconic::kernel
