#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "laconic/kernel/fused/fused.h"
#include "laconic/kernel/fused/rule.h"
#include "laconic/kernel/fused/runs.h"
#include "laconic/quant/quantizer/quant_spec.h"

namespace laconic {

// What a spec is to the fused kernels; nothing where they do not know a part.

/// Shorter runs with scales of their own, or smaller bands, cost more than the composed path.
inline constexpr int64_t kShortestRun = 16, kSmallestBand = 64;

/// How a tensor is laid out in runs that share a scale; nothing where no loop knows them. `sizes`
/// fit the granularity (check_granularity) and hold elements.
std::optional<kernel::ScaleRuns> runs_of(const Granularity& granularity, at::IntArrayRef sizes);

/// The elements of a format.
std::optional<kernel::ElementGrid> grid_of(const Format& format);

/// Extremes that say all of a statistic; `of_magnitude`: the largest |x| alone does.
struct ExtremeStatistic {
  bool of_magnitude;
};
std::optional<ExtremeStatistic> extreme_statistic(const QuantSpec& spec);

/// Rounding half to even, and a gradient that passes the ends of the grid or not.
bool knows_rounding(const QuantSpec& spec);

/// Gradients are recorded for this tensor; undefined: no.
bool needs_gradient(const at::Tensor& x);

/// float32 or bfloat16, contiguous, without gradient: as the kernels read.
at::Tensor readable(const at::Tensor& x);

/// Scales or zero points as the loops take them: in one row, contiguous, without gradient;
/// undefined stays undefined.
at::Tensor flat(const at::Tensor& numbers);

/// A tensor whose scales are found of its extremes and which is quantized with them.
struct FusedCall {
  kernel::ScaleRuns runs;
  kernel::ElementGrid grid;
  bool of_magnitude;
  std::optional<kernel::RangeRule> rule;
  bool quantizes_scales = false;  ///< the rule's scales go through quantize_scales before their use
  kernel::CodedScales codes =
      {};  ///< of those scales, once x was looked at and where loops know it
};
std::optional<FusedCall> fused_call(const QuantSpec& spec, const at::Tensor& x);

}  // namespace laconic
