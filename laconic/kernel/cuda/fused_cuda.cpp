#include "laconic/kernel/cuda/fused_cuda.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "laconic/kernel/cuda/loops.h"

namespace laconic::kernel::cuda {
namespace {

/// Runs that a block of threads does not hold, or that share scales: two looks at memory.
void quantize_in_two_looks(const at::Tensor& x, FusedJob job, int* not_finite,
                           cudaStream_t stream) {
  constexpr int64_t kIntegers = sizeof(RangeKeys) / sizeof(int32_t);
  const int64_t scales = job.runs.scales();
  const auto options = x.options().requires_grad(false);
  const at::Tensor room = at::empty({scales, kIntegers}, options.dtype(c10::ScalarType::Int));
  auto* keys = reinterpret_cast<RangeKeys*>(room.mutable_data_ptr<int32_t>());
  const at::Tensor numbers = at::empty({2, scales}, options.dtype(c10::ScalarType::Float));
  auto* scale = numbers.mutable_data_ptr<float>();
  if (job.numbers.scale == nullptr) job.numbers.scale = scale;
  if (job.numbers.zero_point == nullptr && job.rule.zero_point != ZeroRule::kNone)
    job.numbers.zero_point = scale + scales;
  C10_CUDA_CHECK(find_keys(job, keys, stream));
  C10_CUDA_CHECK(find_numbers(job, keys, not_finite, stream));
  job.is_finite = true;  // else the results mean nothing
  if (job.value != nullptr) C10_CUDA_CHECK(quantize_given(job, stream));
}

}  // namespace

bool quantize_found_on(const at::Tensor& x, FusedJob job) {
  const c10::cuda::CUDAGuard guard(x.device());
  const auto stream = c10::cuda::getCurrentCUDAStream();
  // Of the host, where the device writes it: no copy is to be waited for.
  const at::Tensor flag =
      at::empty({1}, at::TensorOptions(c10::ScalarType::Int).pinned_memory(true));
  int* not_finite = flag.mutable_data_ptr<int32_t>();
  *not_finite = 0;
  if (fits_one_look(job))
    C10_CUDA_CHECK(quantize_found(job, not_finite, stream));
  else
    quantize_in_two_looks(x, job, not_finite, stream);
  C10_CUDA_CHECK(cudaStreamSynchronize(stream));
  return *not_finite == 0;
}

void quantize_given_on(const at::Tensor& x, const FusedJob& job) {
  const c10::cuda::CUDAGuard guard(x.device());
  C10_CUDA_CHECK(quantize_given(job, c10::cuda::getCurrentCUDAStream()));
}

}  // namespace laconic::kernel::cuda
