#include "laconic/kernel/fused/fused.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <atomic>
#include <bit>
#include <cmath>

#include "laconic/base/assert.h"
#include "laconic/kernel/fused/bands.h"
#include "laconic/kernel/fused/loops.h"
#include "laconic/kernel/fused/pieces.h"
#include "laconic/kernel/parallel.h"
#ifdef LACONIC_CUDA
#include "laconic/kernel/cuda/fused_cuda.h"
#endif

namespace laconic::kernel {
namespace {

constexpr int64_t kLongestRun = 1 << 18;  // elements that stay in the second cache, about
constexpr int64_t kStreamFrom = 1 << 22;  // bytes: a larger value would only push others out

FusedJob job_of(const at::Tensor& x, const ScaleRuns& runs, const ElementGrid& grid,
                const at::Tensor& value) {
  FusedJob job;
  job.x = x.const_data_ptr();
  job.value = value.defined() ? value.mutable_data_ptr() : nullptr;
  const bool is_float = x.scalar_type() == c10::ScalarType::Float;
  LACONIC_ASSERT(is_float || x.scalar_type() == c10::ScalarType::BFloat16,
                 "fused loops know float32 and bfloat16");
  job.type = is_float ? ElementType::kFloat : ElementType::kBfloat16;
  job.streams = static_cast<int64_t>(x.nbytes()) >= kStreamFrom;
  job.runs = runs;
  job.grid = grid;
  return job;
}

float* data_of(const at::Tensor& numbers) {
  return numbers.defined() ? numbers.mutable_data_ptr<float>() : nullptr;
}

void quantize_with_numbers(const FusedJob& job) {
  if (job.runs.in_bands()) return quantize_given_bands(job);
  for_pieces(job.runs,
             [&](int64_t first, int64_t last) { quantize_given_pieces(job, first, last); });
}

/// Numbers of runs that are long or share scales: from the extremes of their parts.
bool find_in_parts(const FusedJob& job) { return find_numbers(job, keys_of_scales(job).data()); }

bool find_by_runs(const FusedJob& job) {
  std::atomic<bool> is_finite = true;
  parallel_for(0, job.runs.runs(), grain_of(job.runs.group), [&](int64_t first, int64_t last) {
    if (!quantize_found_runs(job, first, last)) is_finite = false;
  });
  return is_finite;
}

#ifdef LACONIC_CUDA
/// Calls `launch(flag)`, and waits for the answer where it is not to come later.
template <class Launch>
bool answered(const at::Tensor& x, LaterAnswer* later, const Launch& launch) {
  LaterAnswer now;
  launch((later == nullptr ? now : *later).flag_for(x));
  return later != nullptr || now.all_finite();
}
#endif

}  // namespace

bool knows_device(const at::Tensor& x) {
#ifdef LACONIC_CUDA
  return x.is_cpu() || x.is_cuda();
#else
  return x.is_cpu();
#endif
}

bool quantize_found(const at::Tensor& x, const ScaleRuns& runs, const ElementGrid& grid,
                    const RangeRule& rule, const at::Tensor& value, const FoundNumbers& numbers,
                    const CodedScales& codes, [[maybe_unused]] LaterAnswer* later) {
  FusedJob job = job_of(x, runs, grid, value);
  job.rule = rule;
  if (codes.scale.defined()) job.codes = {codes.scale.const_data_ptr<float>(), codes.grid};
  job.numbers = {data_of(numbers.scale), data_of(numbers.zero_point)};
#ifdef LACONIC_CUDA
  if (x.is_cuda())
    return answered(x, later, [&](int* flag) { cuda::quantize_found_on(x, job, flag); });
#endif
  if (runs.in_bands() && fit_cache(runs)) return quantize_found_bands(job);
  const bool is_short = runs.group <= ScaleRuns::kPiece ||
                        (runs.group <= kLongestRun && runs.runs() >= 4 * at::get_num_threads());
  if (is_short && runs.period == runs.rows) return find_by_runs(job);
  const auto options = x.options().dtype(c10::ScalarType::Float);
  at::Tensor scale = numbers.scale, zero_point = numbers.zero_point;
  if (!scale.defined()) scale = at::empty({runs.scales()}, options);
  if (!zero_point.defined() && rule.zero_point != ZeroRule::kNone)
    zero_point = at::empty({runs.scales()}, options);
  job.numbers = {data_of(scale), data_of(zero_point)};
  if (!find_in_parts(job)) return false;
  job.is_finite = true;
  if (job.value != nullptr) quantize_with_numbers(job);
  return true;
}

void quantize_given(const at::Tensor& x, const ScaleRuns& runs, const ElementGrid& grid,
                    const GivenNumbers& numbers, const at::Tensor& value) {
  FusedJob job = job_of(x, runs, grid, value);
  const auto& [scale, zero_point] = numbers;
  // Read only: the loops of this kind do not write numbers.
  job.numbers = {
      const_cast<float*>(scale.const_data_ptr<float>()),
      zero_point.defined() ? const_cast<float*>(zero_point.const_data_ptr<float>()) : nullptr};
#ifdef LACONIC_CUDA
  if (x.is_cuda()) return cuda::quantize_given_on(x, job);
#endif
  quantize_with_numbers(job);
}

bool find_scale_of_scales(const at::Tensor& x, const ScaleRules& rules, const at::Tensor& scale,
                          [[maybe_unused]] LaterAnswer* later) {
  FusedJob job = job_of(x, {1, x.numel(), x.numel(), 1}, {}, {});
  job.rule = rules.scales;
  float* result = scale.mutable_data_ptr<float>();
#ifdef LACONIC_CUDA
  if (x.is_cuda())
    return answered(x, later, [&](int* flag) {
      cuda::find_scale_of_scales_on(x, job, rules.of_scales, result, flag);
    });
#endif
  float largest = 0;
  job.numbers.scale = &largest;
  if (!find_in_parts(job)) return false;
  FusedJob of_scales;
  of_scales.runs = {1, 1, 1, 1};
  of_scales.rule = rules.of_scales;
  of_scales.numbers.scale = result;
  const auto key = std::bit_cast<int32_t>(largest);  // of a number above 0: its bits
  const RangeKeys keys{0, key, key};
  return find_numbers(of_scales, &keys);
}

bool is_finite(const at::Tensor& x, [[maybe_unused]] LaterAnswer* later) {
  const ScaleRuns whole{1, x.numel(), x.numel(), 1};
#ifdef LACONIC_CUDA
  if (x.is_cuda()) {
    FusedJob job = job_of(x, whole, {}, {});
    return answered(x, later, [&](int* flag) { cuda::check_finite_on(x, job, flag); });
  }
#endif
  return std::isfinite(
      *find_extremes(x, whole, /*of_magnitude=*/true).high.const_data_ptr<float>());
}

}  // namespace laconic::kernel
