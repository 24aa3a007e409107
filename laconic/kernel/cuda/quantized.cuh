#pragma once

// What the forward kernels share.

#include "laconic/kernel/cuda/loops.h"
#include "laconic/kernel/cuda/short_runs.cuh"

namespace laconic::kernel::cuda {
namespace {

template <class O, GridKind kGrid, bool kZero, typename T>
__device__ __forceinline__ Pack<T> quantized_by(Pack<T> pack, const RunScale<ScalarOps>& of_run,
                                                const ElementGrid& elements) {
  const auto grid = grid_numbers<O>(elements);
  const auto run = with_ops<O>(of_run);
#pragma unroll
  for (float& value : pack.values)
    value = value_of<O, kZero>(element_of<O, kGrid, kZero>(value, run, grid), run);
  return pack;
}

/// @tparam kFound  the scale was found of these elements, which are finite
template <bool kFound, GridKind kGrid, bool kZero, typename T>
__device__ __forceinline__ Pack<T> quantized(const Pack<T>& pack, const RunScale<ScalarOps>& run,
                                             const ElementGrid& grid) {
  using Quick = std::conditional_t<kFound, typename BoundedOpsOf<T>::Ops, ExactOps>;
  if (run.divisor.is_exact) return quantized_by<Quick, kGrid, kZero>(pack, run, grid);
  return quantized_by<ScalarOps, kGrid, kZero>(pack, run, grid);
}

__device__ __forceinline__ void keep_numbers(const FusedJob& job, int64_t scale,
                                             const Numbers& numbers) {
  if (job.numbers.scale != nullptr) job.numbers.scale[scale] = numbers.scale;
  if (job.numbers.zero_point != nullptr) job.numbers.zero_point[scale] = numbers.zero_point;
}

/// The scale of a run whose extremes these are. Exact quotients are finite ones: coded scales may
/// be far from what the run would have.
template <bool kMagnitude>
__device__ __forceinline__ RunScale<ScalarOps> found_scale(const Numbers& numbers,
                                                           const RangeKeys& keys) {
  auto run = run_scale<ScalarOps>(numbers.scale, numbers.zero_point);
  if constexpr (kMagnitude)
    run.divisor.is_exact &= __int_as_float(keys.magnitude) < 0x1p60F * numbers.scale;
  return run;
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
/// Calls `body(std::true_type)` where the job's extremes are magnitudes.
template <class Body>
void for_statistic(const FusedJob& job, const Body& body) {
  if (job.rule.statistic == RangeStatistic::kAbsMax)
    body(std::true_type());
  else
    body(std::false_type());
}

int64_t pack_count(const FusedJob& job) { return job.type == ElementType::kFloat ? 4 : 8; }
int64_t all_packs(const FusedJob& job) { return job.runs.rows * job.runs.length / pack_count(job); }

bool is_in_packs(const FusedJob& job) {
  const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
  return job.runs.period == job.runs.rows && job.runs.length % job.runs.group == 0 &&
         job.runs.group % pack_count(job) == 0 && aligned(job.x) && aligned(job.value);
}

ShortRuns short_runs_of(const FusedJob& job) {
  return short_runs(is_in_packs(job), job.runs.group / pack_count(job));
}

}  // namespace
}  // namespace laconic::kernel::cuda
