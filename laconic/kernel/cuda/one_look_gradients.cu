// Gradients through scales, zero points and scales of scales that were found of the elements of a
// run, in one look at it.
#include "laconic/kernel/cuda/found_parts.cuh"

namespace laconic::kernel::cuda {
namespace {

template <typename T>
__device__ __forceinline__ void store_found(const Pack<T>& x, Pack<T> gradient,
                                            const BackwardJob& job, const ScaleNumbers& numbers,
                                            T* to) {
#pragma unroll
  for (int i = 0; i < Pack<T>::kCount; ++i)
    gradient.values[i] = with_shares(gradient.values[i], x.values[i], job, numbers);
  store_pack(gradient, to);
}

/// What each of the largest scales is given for the scale of all.
__device__ __forceinline__ float share_of_largest(const CodedScaleSums& all,
                                                  const CodedScaleGradient& codes) {
  const float slope = slope_of_range<ScalarOps>(*codes.scale, all.largest, codes.rule);
  return __fdiv_rn(__fmul_rn(static_cast<float>(all.scale), slope), static_cast<float>(all.count));
}

/// The blocks that hold none of the largest scales are done after the first pass.
__device__ __forceinline__ bool is_done(const CodePass& pass) {
  return pass.all != nullptr && pass.blocks[blockIdx.x].largest != pass.all->largest;
}

/// Gradients of a scale before and after it was coded.
struct RealScale {
  float scale, gradient;
};
/// Called by all threads of a block. @param is_counted  whether this thread stands for its run
__device__ __forceinline__ RealScale real_scale(const BackwardJob& job, const CodePass& pass,
                                                const FoundSums& sums, bool is_counted) {
  const float real = scale_of_range<ScalarOps>(__int_as_float(sums.magnitude), job.rule);
  const auto parts =
      gradient_of_coded_scale<ScalarOps>(real, static_cast<float>(sums.scale), job.codes);
  if (pass.all == nullptr) {
    const auto block = sums_of_block(
        is_counted ? CodedScaleSums{static_cast<double>(parts.scale), real, 1} : CodedScaleSums{});
    if (threadIdx.x == 0) pass.blocks[blockIdx.x] = block;
    return {real, parts.input};
  }
  const float share = real == pass.all->largest ? share_of_largest(*pass.all, job.codes) : 0;
  return {real, __fadd_rn(parts.input, share)};
}

/// Runs of few packs: several a block.
template <class Rule, bool kCoded, typename T, GridKind kGrid, int kPacks>
__global__ void __launch_bounds__(kThreads)
    short_found(const BackwardJob job, int64_t packs, int shift, const CodePass pass) {
  if (kCoded && is_done(pass)) return;
  const auto place = short_place<kPacks>(packs, shift);
  const auto at = [&](int k) { return (place.first + (k << shift)) * Pack<T>::kCount; };
  Pack<T> x[kPacks] = {}, gradient[kPacks] = {};
  float scale = 1, zero_point = 0;
  if (place.is_there) {
#pragma unroll
    for (int k = 0; k < kPacks; ++k) {
      x[k] = load_pack(static_cast<const T*>(job.x) + at(k));
      gradient[k] = load_pack(static_cast<const T*>(job.gradient) + at(k));
    }
    scale = job.scale[place.run];
    zero_point = number_at(job.zero_point, place.run);
  }
  const auto run = run_scale<ScalarOps>(scale, zero_point);
  typename Rule::Sums sums;
#pragma unroll
  for (int k = 0; k < kPacks; ++k) sums.add(quick_sums<Rule, kGrid>(x[k], gradient[k], run, job));
  sums = shared_sums(sums, 1 << shift);
  RealScale real{scale, static_cast<float>(sums.scale)};
  if constexpr (kCoded) real = real_scale(job, pass, sums, place.is_there && place.is_first);
  if (!place.is_there) return;
  const auto numbers = Rule::shares(sums, real.scale, real.gradient, job);
#pragma unroll
  for (int k = 0; k < kPacks; ++k)
    store_found(x[k], gradient[k], job, numbers, static_cast<T*>(job.input_gradient) + at(k));
}

/// A block a run, whose packs wait in registers.
template <class Rule, bool kCoded, typename T, GridKind kGrid, int kPacks>
__global__ void __launch_bounds__(kThreads) long_found(const BackwardJob job, const CodePass pass) {
  if (kCoded && is_done(pass)) return;
  const int packs = static_cast<int>(job.runs.group / Pack<T>::kCount);
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * job.runs.group;
  const auto at = [&](int k) {
    return k * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x);
  };
  Pack<T> x[kPacks], gradient[kPacks];
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    if (at(k) >= packs) continue;
    x[k] = load_pack(static_cast<const T*>(job.x) + begin + at(k) * Pack<T>::kCount);
    gradient[k] = load_pack(static_cast<const T*>(job.gradient) + begin + at(k) * Pack<T>::kCount);
  }
  const float scale = job.scale[blockIdx.x];
  const auto run = run_scale<ScalarOps>(scale, number_at(job.zero_point, blockIdx.x));
  typename Rule::Sums sums;
#pragma unroll
  for (int k = 0; k < kPacks; ++k)
    if (at(k) < packs) sums.add(quick_sums<Rule, kGrid>(x[k], gradient[k], run, job));
  sums = sums_of_block(sums);
  RealScale real{scale, static_cast<float>(sums.scale)};
  if constexpr (kCoded) real = real_scale(job, pass, sums, threadIdx.x == 0);
  const auto numbers = Rule::shares(sums, real.scale, real.gradient, job);
  auto* to = static_cast<T*>(job.input_gradient) + begin;
#pragma unroll
  for (int k = 0; k < kPacks; ++k)
    if (at(k) < packs) store_found(x[k], gradient[k], job, numbers, to + at(k) * Pack<T>::kCount);
}

/// In the same order in every call.
__global__ void sum_of_blocks(const CodedScaleSums* blocks, int64_t count, CodedScaleSums* all) {
  CodedScaleSums sums;
#pragma unroll 8
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) sums.add(blocks[i]);
  sums = sums_of_block(sums);
  if (threadIdx.x == 0) *all = sums;
}

/// Packs of a run, of x and of the gradient, that a thread holds at most.
int64_t most_packs(const BackwardJob& job) { return job.type == ElementType::kFloat ? 8 : 4; }

template <class Rule, bool kCoded, typename T, GridKind kGrid>
void launch_long(const BackwardJob& job, const CodePass& pass, cudaStream_t stream) {
  const auto runs = static_cast<unsigned>(job.runs.runs());
  const int64_t packs = job.runs.group / Pack<T>::kCount;
  const int threads =
      packs >= kThreads ? kThreads : static_cast<int>((packs + kWarp - 1) / kWarp * kWarp);
  if (packs <= threads)
    long_found<Rule, kCoded, T, kGrid, 1><<<runs, threads, 0, stream>>>(job, pass);
  else if (packs <= 4 * kThreads)
    long_found<Rule, kCoded, T, kGrid, 4><<<runs, threads, 0, stream>>>(job, pass);
  else if constexpr (sizeof(T) == sizeof(float))  // see most_packs
    long_found<Rule, kCoded, T, kGrid, 8><<<runs, threads, 0, stream>>>(job, pass);
}

template <class Rule, bool kCoded, typename T, GridKind kGrid>
void launch(const BackwardJob& job, const CodePass& pass, cudaStream_t stream) {
  const ShortRuns runs = short_runs_of(job);
  const int64_t packs = all_packs(job);
  const unsigned count = blocks(packs / runs.packs, kThreads);
  if (runs.shift < 0)
    launch_long<Rule, kCoded, T, kGrid>(job, pass, stream);
  else if (runs.packs == 1)
    short_found<Rule, kCoded, T, kGrid, 1>
        <<<count, kThreads, 0, stream>>>(job, packs, runs.shift, pass);
  else
    short_found<Rule, kCoded, T, kGrid, 2>
        <<<count, kThreads, 0, stream>>>(job, packs, runs.shift, pass);
}

}  // namespace

bool fits_one_look(const BackwardJob& job) {
  return is_in_packs(job) && job.runs.group / pack_count(job) <= most_packs(job) * kThreads;
}

int64_t blocks_of_one_look(const BackwardJob& job) {
  const ShortRuns runs = short_runs_of(job);
  return runs.shift < 0 ? job.runs.runs() : blocks(all_packs(job) / runs.packs, kThreads);
}

cudaError_t found_gradients(const BackwardJob& job, cudaStream_t stream) {
  for_kind(job, [&]<typename T, GridKind kGrid>() {
    if (job.of_magnitude)
      launch<OfMagnitudes, false, T, kGrid>(job, {}, stream);
    else
      launch<OfRanges, false, T, kGrid>(job, {}, stream);
  });
  return cudaGetLastError();
}

cudaError_t coded_gradients(const BackwardJob& job, const CodePass& pass, cudaStream_t stream) {
  for_kind(job, [&]<typename T, GridKind kGrid>() {
    launch<OfMagnitudes, true, T, kGrid>(job, pass, stream);
  });
  return cudaGetLastError();
}

cudaError_t sum_coded(const CodedScaleSums* blocks, int64_t count, CodedScaleSums* all,
                      cudaStream_t stream) {
  sum_of_blocks<<<1, kThreads, 0, stream>>>(blocks, count, all);
  return cudaGetLastError();
}

}  // namespace laconic::kernel::cuda
