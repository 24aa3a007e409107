#include <ATen/ops/empty.h>

#include <algorithm>
#include <bit>
#include <utility>
#include <vector>

#include "laconic/kernel/fresh_memory.h"
#include "laconic/kernel/fused/bands.h"
#include "laconic/kernel/fused/fused.h"
#include "laconic/kernel/fused/loops.h"
#include "laconic/kernel/fused/pieces.h"
#include "laconic/kernel/parallel.h"
#ifdef LACONIC_CUDA
#include "laconic/kernel/cuda/backward_cuda.h"
#include "laconic/kernel/cuda/backward_loops.h"
#endif

namespace laconic::kernel {
namespace {

constexpr int64_t kStreamFrom = 1 << 22;  // bytes

const float* numbers(const at::Tensor& x) {
  return x.defined() ? x.const_data_ptr<float>() : nullptr;
}

ElementType type_of(const at::Tensor& x) {
  return x.scalar_type() == c10::ScalarType::Float ? ElementType::kFloat : ElementType::kBfloat16;
}

BackwardJob job_of(const QuantizedRuns& what, const RunExtremesOf& extremes) {
  BackwardJob job;
  job.x = what.x.const_data_ptr();
  job.gradient = what.gradient.const_data_ptr();
  job.type = type_of(what.x);
  job.streams = static_cast<int64_t>(what.x.nbytes()) >= kStreamFrom;
  job.is_clipped = what.is_clipped;
  job.runs = what.runs;
  job.grid = what.grid;
  job.scale = numbers(what.scale);
  job.zero_point = numbers(what.zero_point);
  job.of_magnitude = extremes.of_magnitude;
  job.low = numbers(extremes.low);
  job.high = numbers(extremes.high);
  return job;
}

template <class Part, class Number>
at::Tensor column(const std::vector<Part>& parts, const at::Tensor& like, const Number& number) {
  const at::Tensor result =
      at::empty({static_cast<int64_t>(parts.size())}, like.options().dtype(c10::ScalarType::Float));
  float* out = result.mutable_data_ptr<float>();
  parallel_for(0, result.numel(), kGrain, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      out[i] = static_cast<float>(number(parts[static_cast<size_t>(i)]));
  });
  return result;
}

float float_of_key(int32_t key) { return std::bit_cast<float>(key ^ (key >> 31 & 0x7FFFFFFF)); }

}  // namespace

namespace {

std::vector<GradientSums> sums_of_pieces(const BackwardJob& job) {
  std::vector<GradientSums> pieces(static_cast<size_t>(job.runs.pieces()));
  for_pieces(job.runs, [&](int64_t first, int64_t last) {
    sum_piece_gradients(job, first, last, pieces.data());
  });
  return sums_of_scales(job.runs, std::move(pieces));
}

}  // namespace

RunExtremesOf find_extremes(const at::Tensor& x, const ScaleRuns& runs, bool of_magnitude) {
  FusedJob job;
  job.x = x.const_data_ptr();
  job.type = type_of(x);
  job.runs = runs;
  job.rule.statistic = of_magnitude ? RangeStatistic::kAbsMax : RangeStatistic::kMinMax;
#ifdef LACONIC_CUDA
  if (x.is_cuda()) return cuda::find_extremes_on(x, job);
#endif
  const auto keys = keys_of_scales(job);
  if (of_magnitude)
    return {{}, column(keys, x, [](auto& k) { return std::bit_cast<float>(k.magnitude); }), true};
  return {column(keys, x, [](auto& k) { return float_of_key(k.low); }),
          column(keys, x, [](auto& k) { return float_of_key(k.high); }), false};
}

NumberGradients gradients_of_numbers(const QuantizedRuns& what, const RunExtremesOf& extremes) {
  const BackwardJob job = job_of(what, extremes);
#ifdef LACONIC_CUDA
  if (what.x.is_cuda()) return cuda::gradients_of_numbers_on(what.x, job);
#endif
  const auto sums = what.runs.in_bands() ? gradient_sums_of_bands(job) : sums_of_pieces(job);
  return {column(sums, what.x, [](auto& sum) { return sum.scale; }),
          column(sums, what.x, [](auto& sum) { return sum.zero_point; }),
          column(sums, what.x, [](auto& sum) { return sum.low; }),
          column(sums, what.x, [](auto& sum) { return sum.high; })};
}

at::Tensor gradient_of_input(const QuantizedRuns& what, const RunExtremesOf& extremes,
                             const at::Tensor& low_share, const at::Tensor& high_share) {
  BackwardJob job = job_of(what, extremes);
  const at::Tensor result = fresh_like(what.x);
  job.input_gradient = result.mutable_data_ptr();
  job.low_share = numbers(low_share);
  job.high_share = numbers(high_share);
#ifdef LACONIC_CUDA
  if (what.x.is_cuda()) return cuda::write_input_gradients_on(what.x, job), result;
#endif
  if (what.runs.in_bands()) return write_band_gradients(job), result;
  for_pieces(what.runs,
             [&](int64_t first, int64_t last) { write_input_gradients(job, first, last); });
  return result;
}

namespace {

CodedScaleGradient gradient_of_codes(const CodedScales& codes) {
  if (!codes.scale.defined()) return {};
  CodedScaleGradient result{numbers(codes.scale), codes.grid, codes.rule, codes.is_clipped};
  result.grid.low = 0;  // that no scale becomes 0 is no part of the gradient
  return result;
}

/// Several runs at a time, the same ones whatever the number of threads.
void write_found_by_runs(BackwardJob job) {
  const int64_t runs = job.runs.runs(), some = std::max<int64_t>(1, kGrain / job.runs.group);
  std::vector<CodedScaleSums> sums(static_cast<size_t>((runs + some - 1) / some));
  const auto blocks = static_cast<int64_t>(sums.size());
  parallel_for(0, blocks, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      sums[static_cast<size_t>(i)] =
          write_found_gradients(job, i * some, std::min(runs, (i + 1) * some));
  });
  if (job.codes.scale == nullptr) return;
  // Only the largest scales hang on the scale of all: those few blocks are written again.
  CodedScaleSums all;
  for (const CodedScaleSums& part : sums) all.add(part);
  job.codes.largest = all.largest;
  job.codes.share = static_cast<float>(all.scale) *
                    slope_of_scale(job.codes.rule, *job.codes.scale, all.largest) /
                    static_cast<float>(all.count);
  parallel_for(0, blocks, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      if (sums[static_cast<size_t>(i)].largest == all.largest)
        write_found_gradients(job, i * some, std::min(runs, (i + 1) * some));
  });
}

}  // namespace

bool knows_found_gradient([[maybe_unused]] const at::Tensor& x, const ScaleRuns& runs,
                          const RangeRule& rule, const CodedScales& codes) {
  if (runs.length % runs.group != 0 || runs.in_bands()) return false;
  const bool of_magnitude =
      rule.statistic == RangeStatistic::kAbsMax && rule.zero_point == ZeroRule::kNone;
  const bool is_coded = codes.scale.defined();
  if (!of_magnitude && (rule.statistic == RangeStatistic::kAbsMax || is_coded)) return false;
#ifdef LACONIC_CUDA
  if (x.is_cuda()) {
    BackwardJob job;
    job.x = x.const_data_ptr();
    job.type = type_of(x);
    job.runs = runs;
    return (of_magnitude && !is_coded) || cuda::fits_one_look(job);
  }
#endif
  return runs.period == runs.rows && runs.group <= ScaleRuns::kPiece;
}

at::Tensor gradient_of_found(const QuantizedRuns& what, const RangeRule& rule,
                             const CodedScales& codes) {
  BackwardJob job = job_of(what, {});
  job.rule = rule;
  job.of_magnitude = rule.statistic == RangeStatistic::kAbsMax;
  job.codes = gradient_of_codes(codes);
  const at::Tensor result = fresh_like(what.x);
  job.input_gradient = result.mutable_data_ptr();
#ifdef LACONIC_CUDA
  if (what.x.is_cuda()) {
    // A view may begin anywhere; x has been looked at.
    const bool is_aligned = reinterpret_cast<uintptr_t>(job.gradient) % 16 == 0;
    const at::Tensor gradient = is_aligned ? what.gradient : what.gradient.clone();
    job.gradient = gradient.const_data_ptr();
    return cuda::write_found_gradients_on(what.x, job), result;
  }
#endif
  write_found_by_runs(job);
  return result;
}

}  // namespace laconic::kernel
