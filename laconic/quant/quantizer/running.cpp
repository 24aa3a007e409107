#include "laconic/quant/quantizer/running.h"

#include <ATen/ops/maximum.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/stack.h>

#include <utility>

#include "laconic/base/variant.h"

namespace laconic {
namespace {

// Whether the smallest and the largest element say all that the statistic asks for.
bool is_of_extremes(const Statistic& statistic) {
  return std::visit(
      Overloaded{[](const AbsMax&) { return true; }, [](const SignedAbsMax&) { return true; },
                 [](const MinMax&) { return true; }, [](const auto&) { return false; }},
      statistic);
}

void add_to(at::Tensor& sum, const at::Tensor& term) {
  const auto wide = term.to(c10::ScalarType::Double);
  sum = sum.defined() ? sum + wide : wide;
}

}  // namespace

RunningRange::RunningRange(QuantSpec spec) : spec_(std::move(spec)) {
  check(spec_);
  TORCH_CHECK_VALUE(std::holds_alternative<StaticScale>(spec_.scale),
                    "[RunningRange] expected a static scale, got the scale ",
                    part_name(spec_.scale), ". Choose StaticScale{}.");
}

bool RunningRange::needs_extremes_alone(const QuantSpec& spec) {
  const auto* scale = std::get_if<StaticScale>(&spec.scale);
  return scale != nullptr && is_of_extremes(scale->statistic);
}

void RunningRange::add(const at::Tensor& x) {
  check_quantizable(x);
  if (x.numel() == 0) return;
  const auto real = x.detach().to(c10::ScalarType::Float);
  shape_ = scale_shape(x.sizes(), spec_.granularity);
  ++windows_;
  if (!needs_extremes_alone(spec_)) {
    const Range range = find_range(spec_, real);
    add_to(sum_.statistic, range.statistic);
    if (range.minimum.defined()) add_to(sum_.minimum, range.minimum);
    return;
  }
  const auto rows = rows_of(real, spec_.granularity);
  const auto low = rows.amin(1), high = rows.amax(1);
  low_ = low_.defined() ? at::minimum(low_, low) : low;
  high_ = high_.defined() ? at::maximum(high_, high) : high;
}

QuantParameters RunningRange::parameters() const {
  TORCH_CHECK_VALUE(windows_ > 0, "[RunningRange] expected at least one window, got none. ",
                    "Give more calibration data.");
  Range range;
  if (low_.defined()) {
    // The two extremes of each scale as its whole data: [2] per tensor, [2, channels] per channel.
    const auto extremes = at::stack({low_, high_});
    range = find_range(spec_, shape_.empty() ? extremes.flatten() : extremes);
  } else {
    const auto count = static_cast<double>(windows_);
    range.statistic = (sum_.statistic / count).to(c10::ScalarType::Float);
    if (sum_.minimum.defined()) range.minimum = (sum_.minimum / count).to(c10::ScalarType::Float);
  }
  return parameters_of_range(spec_, range, shape_);
}

}  // namespace laconic
