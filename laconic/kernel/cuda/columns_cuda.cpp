#include "laconic/kernel/cuda/columns_cuda.h"

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "laconic/kernel/cuda/columns.h"

namespace laconic::kernel::cuda {
namespace {

template <typename T>
const T* data_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<T>() : nullptr;
}

}  // namespace

bool knows_columns(const RoundingColumns& state) {
  return state.weight.is_cuda() && !state.budget.threshold.defined();
}

void round_columns(RoundingColumns& state, const at::Tensor& feedback, const at::Tensor& current,
                   int64_t begin, int64_t end) {
  const c10::cuda::CUDAGuard guard(state.weight.device());
  const auto& [levels, thresholds, codes] = state.staircase;
  const at::Tensor factors = feedback.contiguous(), values = current.contiguous();
  const ColumnJob job{state.weight.mutable_data_ptr<float>(),
                      values.const_data_ptr<float>(),
                      state.codes.mutable_data_ptr<uint8_t>(),
                      state.scale.const_data_ptr<float>(),
                      data_or_null<float>(state.zero_point),
                      state.group.const_data_ptr<int64_t>(),
                      factors.const_data_ptr<float>(),
                      data_or_null<float>(levels),
                      data_or_null<float>(thresholds),
                      data_or_null<int32_t>(codes),
                      levels.defined() ? levels.size(0) : 0,
                      state.weight.size(0),
                      state.weight.size(1),
                      state.scale.size(1),
                      begin,
                      end,
                      state.q_min,
                      state.q_max};
  C10_CUDA_CHECK(round_columns(job, c10::cuda::getCurrentCUDAStream()));
}

}  // namespace laconic::kernel::cuda
