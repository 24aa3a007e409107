#include "laconic/kernel/same_each_time.h"

#include <ATen/Context.h>

#include <cstdlib>

namespace laconic::kernel {

SameEachTime::SameEachTime(at::Device device)
    : changes_(!device.is_cpu()),
      was_on_(at::globalContext().deterministicAlgorithms()),
      warned_only_(at::globalContext().deterministicAlgorithmsWarnOnly()),
      filled_(at::globalContext().deterministicFillUninitializedMemory()) {
  if (!changes_) return;
  // LibTorch asks for a fixed room of cuBLAS before it calls products deterministic.
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  // Attention keeps its own order of sums unless what cannot is refused.
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);  // it would be read by none
}

SameEachTime::~SameEachTime() {
  if (!changes_) return;
  at::globalContext().setDeterministicAlgorithms(was_on_, warned_only_);
  at::globalContext().setDeterministicFillUninitializedMemory(filled_);
}

}  // namespace laconic::kernel
