#include "laconic/kernel/cuda/backward_cuda.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "laconic/kernel/cuda/backward_loops.h"
#include "laconic/kernel/cuda/bands.h"
#include "laconic/kernel/cuda/loops.h"

namespace laconic::kernel::cuda {
namespace {

/// Room on the device for `count` of a plain struct.
template <class Part>
at::Tensor room_for(int64_t count, const at::Tensor& beside) {
  static_assert(sizeof(Part) % sizeof(int32_t) == 0);
  const auto words = static_cast<int64_t>(sizeof(Part) / sizeof(int32_t));
  return at::empty({count * words}, beside.options().dtype(c10::ScalarType::Int));
}
template <class Part>
Part* parts_of(const at::Tensor& room) {
  return reinterpret_cast<Part*>(room.mutable_data_ptr<int32_t>());
}

at::Tensor floats(int64_t count, const at::Tensor& beside) {
  return at::empty({count}, beside.options().dtype(c10::ScalarType::Float));
}

}  // namespace

RunExtremesOf find_extremes_on(const at::Tensor& x, const FusedJob& job) {
  const c10::cuda::CUDAGuard guard(x.device());
  const auto stream = c10::cuda::getCurrentCUDAStream();
  const int64_t scales = job.runs.scales();
  const at::Tensor room = room_for<RangeKeys>(scales, x);
  auto* keys = parts_of<RangeKeys>(room);
  const bool of_magnitude = job.rule.statistic == RangeStatistic::kAbsMax;
  RunExtremesOf found{{}, floats(scales, x), of_magnitude};
  if (!of_magnitude) found.low = floats(scales, x);
  C10_CUDA_CHECK(find_keys(job, keys, stream));
  C10_CUDA_CHECK(write_extremes(keys, scales,
                                of_magnitude ? nullptr : found.low.mutable_data_ptr<float>(),
                                found.high.mutable_data_ptr<float>(), stream));
  return found;
}

NumberGradients gradients_of_numbers_on(const at::Tensor& x, const BackwardJob& job) {
  const c10::cuda::CUDAGuard guard(x.device());
  const int64_t scales = job.runs.scales();
  const int64_t parts = job.runs.in_bands() ? parts_of_bands(job.runs) : job.runs.pieces();
  const at::Tensor room = room_for<GradientSums>(parts, x);
  const NumberGradients sums{floats(scales, x), floats(scales, x), floats(scales, x),
                             floats(scales, x)};
  const auto data = [](const at::Tensor& of) { return of.mutable_data_ptr<float>(); };
  C10_CUDA_CHECK(number_gradients(
      job, parts_of<GradientSums>(room),
      {data(sums.scale), data(sums.zero_point), data(sums.low_count), data(sums.high_count)},
      c10::cuda::getCurrentCUDAStream()));
  return sums;
}

void write_input_gradients_on(const at::Tensor& x, const BackwardJob& job) {
  const c10::cuda::CUDAGuard guard(x.device());
  C10_CUDA_CHECK(input_gradients(job, c10::cuda::getCurrentCUDAStream()));
}

namespace {

/// The gradient of the one scale of all scales hangs on all of them: a pass, a sum, and a pass over
/// what the largest ones get for it.
void write_coded_gradients(const at::Tensor& x, const BackwardJob& job, cudaStream_t stream) {
  const int64_t count = blocks_of_one_look(job);
  const at::Tensor room = room_for<CodedScaleSums>(count + 1, x);
  CodePass pass{parts_of<CodedScaleSums>(room), nullptr};
  auto* all = pass.blocks + count;
  C10_CUDA_CHECK(coded_gradients(job, pass, stream));
  C10_CUDA_CHECK(sum_coded(pass.blocks, count, all, stream));
  pass.all = all;
  C10_CUDA_CHECK(coded_gradients(job, pass, stream));
}

void write_in_two_looks(const at::Tensor& x, BackwardJob job, cudaStream_t stream) {
  const at::Tensor room = room_for<FoundSums>(job.runs.pieces(), x),
                   high = floats(job.runs.scales(), x), share = floats(job.runs.scales(), x);
  C10_CUDA_CHECK(found_shares(job, parts_of<FoundSums>(room), high.mutable_data_ptr<float>(),
                              share.mutable_data_ptr<float>(), stream));
  job.high = high.const_data_ptr<float>();
  job.high_share = share.const_data_ptr<float>();
  C10_CUDA_CHECK(input_gradients(job, stream));
}

}  // namespace

void write_found_gradients_on(const at::Tensor& x, const BackwardJob& job) {
  const c10::cuda::CUDAGuard guard(x.device());
  const auto stream = c10::cuda::getCurrentCUDAStream();
  if (job.codes.scale != nullptr) return write_coded_gradients(x, job, stream);
  if (!fits_one_look(job)) return write_in_two_looks(x, job, stream);
  C10_CUDA_CHECK(found_gradients(job, stream));
}

}  // namespace laconic::kernel::cuda
