#include "laconic/quant/quantizer/running.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include <utility>
#include <vector>

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

at::Tensor RunningRange::state() const {
  const auto count = [](const at::Tensor& part) { return part.defined() ? part.numel() : 0; };
  std::vector<double> head{static_cast<double>(windows_), static_cast<double>(shape_.size()),
                           static_cast<double>(count(low_)),
                           static_cast<double>(count(sum_.statistic)),
                           static_cast<double>(count(sum_.minimum))};
  head.insert(head.end(), shape_.begin(), shape_.end());
  std::vector<at::Tensor> parts{at::tensor(head, c10::ScalarType::Double)};
  for (const at::Tensor* part : {&low_, &high_, &sum_.statistic, &sum_.minimum})
    if (part->defined()) parts.push_back(part->cpu().to(c10::ScalarType::Double).flatten());
  return at::cat(parts);
}

void RunningRange::merge(const at::Tensor& state) {
  const double* const head = state.const_data_ptr<double>();
  if (head[0] == 0) return;
  windows_ += static_cast<int64_t>(head[0]);
  const auto dimensions = static_cast<int64_t>(head[1]);
  shape_.assign(head + 5, head + 5 + dimensions);
  int64_t begin = 5 + dimensions;
  const auto next = [&](double count) {
    const at::Tensor part = state.narrow(0, begin, static_cast<int64_t>(count));
    begin += part.numel();
    return part;
  };
  if (head[2] > 0) {
    const at::Tensor low = next(head[2]).to(c10::ScalarType::Float);
    const at::Tensor high = next(head[2]).to(c10::ScalarType::Float);
    low_ = low_.defined() ? at::minimum(low_, low) : low;
    high_ = high_.defined() ? at::maximum(high_, high) : high;
  }
  if (head[3] > 0) add_to(sum_.statistic, next(head[3]));
  if (head[4] > 0) add_to(sum_.minimum, next(head[4]));
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
