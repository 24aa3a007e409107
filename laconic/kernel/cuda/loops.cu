#include "laconic/kernel/cuda/loops.h"
#include "laconic/kernel/cuda/scalar_ops.cuh"

namespace laconic::kernel::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;
constexpr int kMostPacks = 8;  // of a thread, in registers

template <typename T, GridKind kGrid, bool kZero>
__device__ __forceinline__ Pack<T> quantized(Pack<T> pack, const RunScale<ScalarOps>& run,
                                             const ElementGrid& elements) {
  const auto grid = grid_numbers<ScalarOps>(elements);
#pragma unroll
  for (int i = 0; i < Pack<T>::kCount; ++i)
    pack.values[i] = value_of<ScalarOps, kZero>(
        element_of<ScalarOps, kGrid, kZero>(pack.values[i], run, grid), run);
  return pack;
}

template <typename T>
__device__ __forceinline__ RangeKeys keys_of(const Pack<T>& pack, bool of_magnitude,
                                             RangeKeys keys) {
#pragma unroll
  for (int i = 0; i < Pack<T>::kCount; ++i) add_to_keys(pack.values[i], of_magnitude, keys);
  return keys;
}

__device__ __forceinline__ void keep_numbers(const FusedJob& job, int64_t scale,
                                             const Numbers& numbers) {
  if (job.numbers.scale != nullptr) job.numbers.scale[scale] = numbers.scale;
  if (job.numbers.zero_point != nullptr) job.numbers.zero_point[scale] = numbers.zero_point;
}

/// Runs of 1 to 32 packs: as many neighbouring lanes of a warp as the run has packs, a power of
/// two.
template <typename T, GridKind kGrid, bool kZero>
__global__ void __launch_bounds__(kThreads)
    short_runs(const FusedJob job, int lanes, int* not_finite) {
  const int64_t packs = job.runs.rows * job.runs.length / Pack<T>::kCount;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const bool is_there = i < packs;
  const auto* x = static_cast<const T*>(job.x) + i * Pack<T>::kCount;
  Pack<T> pack = {};
  if (is_there) pack = load_pack(x);
  const bool of_magnitude = job.rule.statistic == RangeStatistic::kAbsMax;
  const RangeKeys keys = shared_keys(keys_of(pack, of_magnitude, RangeKeys{}), lanes);
  if (!is_there) return;
  const Numbers numbers = numbers_of(keys, job, not_finite);
  if (i % lanes == 0) keep_numbers(job, i / lanes, numbers);
  if (job.value == nullptr) return;
  const auto run = run_scale<ScalarOps>(numbers.scale, numbers.zero_point);
  store_pack(quantized<T, kGrid, kZero>(pack, run, job.grid),
             static_cast<T*>(job.value) + i * Pack<T>::kCount);
}

__device__ __forceinline__ RangeKeys keys_of_block(RangeKeys keys) {
  __shared__ RangeKeys parts[kThreads / kWarp];
  keys = shared_keys(keys, kWarp);
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = keys;
  __syncthreads();
  keys = parts[0];
  for (int i = 1; i < blockDim.x / kWarp; ++i) keys.add(parts[i]);
  return keys;
}

/// A block a run, whose packs wait in registers.
template <typename T, GridKind kGrid, bool kZero, int kPacks>
__global__ void __launch_bounds__(kThreads) long_runs(const FusedJob job, int* not_finite) {
  const int packs = static_cast<int>(job.runs.group / Pack<T>::kCount);
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * job.runs.group;
  const auto* x = static_cast<const T*>(job.x) + begin;
  const bool of_magnitude = job.rule.statistic == RangeStatistic::kAbsMax;
  Pack<T> held[kPacks];
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    const int i = k * blockDim.x + threadIdx.x;
    if (i < packs) held[k] = load_pack(x + i * Pack<T>::kCount);
  }
  RangeKeys keys;
#pragma unroll
  for (int k = 0; k < kPacks; ++k)
    if (k * blockDim.x + threadIdx.x < packs) keys = keys_of(held[k], of_magnitude, keys);
  const Numbers numbers = numbers_of(keys_of_block(keys), job, not_finite);
  if (threadIdx.x == 0) keep_numbers(job, blockIdx.x, numbers);
  if (job.value == nullptr) return;
  const auto run = run_scale<ScalarOps>(numbers.scale, numbers.zero_point);
  auto* value = static_cast<T*>(job.value) + begin;
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    const int i = k * blockDim.x + threadIdx.x;
    if (i < packs)
      store_pack(quantized<T, kGrid, kZero>(held[k], run, job.grid), value + i * Pack<T>::kCount);
  }
}

__global__ void reset_keys(RangeKeys* keys, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < count) keys[i] = RangeKeys{};
}

/// A block a piece; several pieces may add to one scale.
template <typename T>
__global__ void __launch_bounds__(kThreads) piece_keys(const FusedJob job, RangeKeys* scales) {
  const Place place = Places(job.runs, job.runs.pieces_of_run())[blockIdx.x];
  const auto* x = static_cast<const T*>(job.x) + place.begin;
  const bool of_magnitude = job.rule.statistic == RangeStatistic::kAbsMax;
  RangeKeys keys;
  int64_t done = 0;
  if (reinterpret_cast<uintptr_t>(x) % 16 == 0) {
    const int packs = static_cast<int>(place.count / Pack<T>::kCount);
#pragma unroll 4
    for (int i = threadIdx.x; i < packs; i += kThreads)
      keys = keys_of(load_pack(x + i * Pack<T>::kCount), of_magnitude, keys);
    done = static_cast<int64_t>(packs) * Pack<T>::kCount;
  }
  for (int64_t i = done + threadIdx.x; i < place.count; i += kThreads)
    add_to_keys(load_one(x + i), of_magnitude, keys);
  keys = keys_of_block(keys);
  if (threadIdx.x != 0) return;
  const bool is_short = (blockIdx.x / job.runs.pieces_of_run() + 1) % job.runs.groups() == 0 &&
                        job.runs.length % job.runs.group != 0;
  if (is_short) keys.add_zero();
  atomicMin(&scales[place.scale].low, keys.low);
  atomicMax(&scales[place.scale].high, keys.high);
  atomicMax(&scales[place.scale].magnitude, keys.magnitude);
}

__global__ void all_numbers(const FusedJob job, const RangeKeys* keys, int* not_finite) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < job.runs.scales()) keep_numbers(job, i, numbers_of(keys[i], job, not_finite));
}

template <typename T, GridKind kGrid, bool kZero>
__global__ void __launch_bounds__(kThreads) given_pieces(const FusedJob job) {
  const Place place = Places(job.runs, job.runs.pieces_of_run())[blockIdx.x];
  const auto* x = static_cast<const T*>(job.x) + place.begin;
  auto* value = static_cast<T*>(job.value) + place.begin;
  const float zero_point = kZero ? job.numbers.zero_point[place.scale] : 0;
  const auto run = run_scale<ScalarOps>(job.numbers.scale[place.scale], zero_point);
  int64_t done = 0;
  if (reinterpret_cast<uintptr_t>(x) % 16 == 0 && reinterpret_cast<uintptr_t>(value) % 16 == 0) {
    const int packs = static_cast<int>(place.count / Pack<T>::kCount);
#pragma unroll 4
    for (int i = threadIdx.x; i < packs; i += kThreads)
      store_pack(quantized<T, kGrid, kZero>(load_pack(x + i * Pack<T>::kCount), run, job.grid),
                 value + i * Pack<T>::kCount);
    done = static_cast<int64_t>(packs) * Pack<T>::kCount;
  }
  for (int64_t i = done + threadIdx.x; i < place.count; i += kThreads)
    store_one(
        value_of<ScalarOps, kZero>(element_of<ScalarOps, kGrid, kZero>(
                                       load_one(x + i), run, grid_numbers<ScalarOps>(job.grid)),
                                   run),
        value + i);
}

/// Runs of few packs with numbers that are given: a thread a pack.
template <typename T, GridKind kGrid, bool kZero>
__global__ void __launch_bounds__(kThreads) given_packs(const FusedJob job, uint32_t packs_of_run) {
  const int64_t packs = job.runs.rows * job.runs.length / Pack<T>::kCount;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= packs) return;
  const int64_t scale =
      packs <= UINT32_MAX ? static_cast<uint32_t>(i) / packs_of_run : i / packs_of_run;
  const float zero_point = kZero ? job.numbers.zero_point[scale] : 0;
  const auto run = run_scale<ScalarOps>(job.numbers.scale[scale], zero_point);
  store_pack(quantized<T, kGrid, kZero>(
                 load_pack(static_cast<const T*>(job.x) + i * Pack<T>::kCount), run, job.grid),
             static_cast<T*>(job.value) + i * Pack<T>::kCount);
}

unsigned blocks(int64_t count, int64_t threads) {
  return static_cast<unsigned>((count + threads - 1) / threads);
}

/// Calls `body.operator()<T, kGrid, kZero>()` for what the job is.
template <typename T, bool kZero, class Body>
void for_grid(const FusedJob& job, const Body& body) {
  if (job.grid.kind == GridKind::kInteger)
    body.template operator()<T, GridKind::kInteger, kZero>();
  else
    body.template operator()<T, GridKind::kMinifloat, kZero>();
}
template <class Body>
void for_kind(const FusedJob& job, const Body& body) {
  const bool has_zero = job.numbers.zero_point != nullptr || job.rule.zero_point != ZeroRule::kNone;
  if (job.type == ElementType::kFloat)
    return has_zero ? for_grid<float, true>(job, body) : for_grid<float, false>(job, body);
  return has_zero ? for_grid<__nv_bfloat16, true>(job, body)
                  : for_grid<__nv_bfloat16, false>(job, body);
}

int64_t pack_count(const FusedJob& job) { return job.type == ElementType::kFloat ? 4 : 8; }

bool is_in_packs(const FusedJob& job) {
  const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
  return job.runs.period == job.runs.rows && job.runs.length % job.runs.group == 0 &&
         job.runs.group % pack_count(job) == 0 && aligned(job.x) && aligned(job.value);
}

bool is_power(int64_t x) { return (x & (x - 1)) == 0; }

template <typename T, GridKind kGrid, bool kZero>
void launch_long(const FusedJob& job, int* not_finite, cudaStream_t stream) {
  const auto runs = static_cast<unsigned>(job.runs.runs());
  const int64_t packs = job.runs.group / Pack<T>::kCount;
  // Whole warps, so that no thread waits that holds nothing.
  const int threads =
      packs >= kThreads ? kThreads : static_cast<int>((packs + kWarp - 1) / kWarp * kWarp);
  if (packs <= threads) {
    long_runs<T, kGrid, kZero, 1><<<runs, threads, 0, stream>>>(job, not_finite);
  } else if (packs <= 4 * kThreads) {
    long_runs<T, kGrid, kZero, 4><<<runs, threads, 0, stream>>>(job, not_finite);
  } else {
    long_runs<T, kGrid, kZero, kMostPacks><<<runs, threads, 0, stream>>>(job, not_finite);
  }
}

}  // namespace

bool fits_one_look(const FusedJob& job) {
  return is_in_packs(job) && job.runs.group / pack_count(job) <= kMostPacks * kThreads;
}

cudaError_t quantize_found(const FusedJob& job, int* not_finite, cudaStream_t stream) {
  const int64_t packs = job.runs.group / pack_count(job);
  for_kind(job, [&]<typename T, GridKind kGrid, bool kZero>() {
    if (packs > kWarp || !is_power(packs))
      return launch_long<T, kGrid, kZero>(job, not_finite, stream);
    const int64_t all = job.runs.rows * job.runs.length / Pack<T>::kCount;
    short_runs<T, kGrid, kZero>
        <<<blocks(all, kThreads), kThreads, 0, stream>>>(job, static_cast<int>(packs), not_finite);
  });
  return cudaGetLastError();
}

cudaError_t find_keys(const FusedJob& job, RangeKeys* keys, cudaStream_t stream) {
  const int64_t scales = job.runs.scales();
  reset_keys<<<blocks(scales, kThreads), kThreads, 0, stream>>>(keys, scales);
  const auto pieces = static_cast<unsigned>(job.runs.pieces());
  if (job.type == ElementType::kFloat)
    piece_keys<float><<<pieces, kThreads, 0, stream>>>(job, keys);
  else
    piece_keys<__nv_bfloat16><<<pieces, kThreads, 0, stream>>>(job, keys);
  return cudaGetLastError();
}

cudaError_t find_numbers(const FusedJob& job, const RangeKeys* keys, int* not_finite,
                         cudaStream_t stream) {
  all_numbers<<<blocks(job.runs.scales(), kThreads), kThreads, 0, stream>>>(job, keys, not_finite);
  return cudaGetLastError();
}

cudaError_t quantize_given(const FusedJob& job, cudaStream_t stream) {
  for_kind(job, [&]<typename T, GridKind kGrid, bool kZero>() {
    const int64_t packs = job.runs.group / Pack<T>::kCount;
    if (is_in_packs(job) && packs <= kThreads) {
      const int64_t all = job.runs.rows * job.runs.length / Pack<T>::kCount;
      given_packs<T, kGrid, kZero>
          <<<blocks(all, kThreads), kThreads, 0, stream>>>(job, static_cast<uint32_t>(packs));
    } else {
      given_pieces<T, kGrid, kZero>
          <<<static_cast<unsigned>(job.runs.pieces()), kThreads, 0, stream>>>(job);
    }
  });
  return cudaGetLastError();
}

}  // namespace laconic::kernel::cuda
