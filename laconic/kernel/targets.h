#pragma once

// Instruction sets that the kernels are not built for: those that add nothing to the ones kept
// (SSE2, AVX2, AVX-512, NEON), and those whose vectors have no size at compile time. Include before
// hwy/foreach_target.h.
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
