#include "laconic/kernel/cuda/fused_cuda.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "laconic/kernel/cuda/loops.h"

namespace laconic::kernel::cuda {
namespace {

at::Tensor room_for_keys(const at::Tensor& x, int64_t scales) {
  constexpr int64_t kIntegers = sizeof(RangeKeys) / sizeof(int32_t);
  return at::empty({scales, kIntegers},
                   x.options().requires_grad(false).dtype(c10::ScalarType::Int));
}
RangeKeys* keys_in(const at::Tensor& room) {
  return reinterpret_cast<RangeKeys*>(room.mutable_data_ptr<int32_t>());
}

/// Runs that a block of threads does not hold, or that share scales: two looks at memory.
void quantize_in_two_looks(const at::Tensor& x, FusedJob job, int* not_finite,
                           cudaStream_t stream) {
  const int64_t scales = job.runs.scales();
  const at::Tensor room = room_for_keys(x, scales);
  auto* keys = keys_in(room);
  const auto options = x.options().requires_grad(false).dtype(c10::ScalarType::Float);
  const at::Tensor numbers = at::empty({2, scales}, options);
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

void quantize_found_on(const at::Tensor& x, const FusedJob& job, int* not_finite) {
  const c10::cuda::CUDAGuard guard(x.device());
  const auto stream = c10::cuda::getCurrentCUDAStream();
  if (fits_one_look(job))
    C10_CUDA_CHECK(quantize_found(job, not_finite, stream));
  else
    quantize_in_two_looks(x, job, not_finite, stream);
}

void check_finite_on(const at::Tensor& x, const FusedJob& job, int* not_finite) {
  const c10::cuda::CUDAGuard guard(x.device());
  const auto stream = c10::cuda::getCurrentCUDAStream();
  const at::Tensor room = room_for_keys(x, job.runs.scales());
  auto* keys = keys_in(room);
  C10_CUDA_CHECK(find_keys(job, keys, stream));
  C10_CUDA_CHECK(find_numbers(job, keys, not_finite, stream));
}

void find_scale_of_scales_on(const at::Tensor& x, const FusedJob& job, const RangeRule& of_scales,
                             float* scale, int* not_finite) {
  const c10::cuda::CUDAGuard guard(x.device());
  const auto stream = c10::cuda::getCurrentCUDAStream();
  const at::Tensor room = room_for_keys(x, 1);
  auto* keys = keys_in(room);
  C10_CUDA_CHECK(find_keys(job, keys, stream));
  C10_CUDA_CHECK(find_scale_of_scales(job, keys, of_scales, scale, not_finite, stream));
}

void quantize_given_on(const at::Tensor& x, const FusedJob& job) {
  const c10::cuda::CUDAGuard guard(x.device());
  C10_CUDA_CHECK(quantize_given(job, c10::cuda::getCurrentCUDAStream()));
}

}  // namespace laconic::kernel::cuda
