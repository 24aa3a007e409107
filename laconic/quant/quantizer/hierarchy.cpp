#include "laconic/quant/quantizer/hierarchy.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <limits>

#include "laconic/base/variant.h"
#include "laconic/kernel/straight_through.h"
#include "laconic/quant/quantizer/formula.h"
#include "laconic/quant/quantizer/fused.h"
#include "laconic/quant/quantizer/quantize.h"

namespace laconic {
namespace {

double smallest_positive(const Format& format) {
  double smallest = std::numeric_limits<double>::infinity();
  for (const double value : values(format)) {
    if (value > 0) smallest = std::min(smallest, value);
  }
  return smallest;
}

// Whether no scale can be negative before it is quantized; a learned one may become it.
bool are_positive(const QuantSpec& spec) {
  const auto rule = statistic_of(spec.scale);
  return !std::holds_alternative<LearnedScale>(spec.scale) &&
         !std::holds_alternative<DecoupledScale>(spec.scale) && rule &&
         rule->affine == Affine::kNone && !std::holds_alternative<SignedAbsMax>(rule->statistic) &&
         !std::holds_alternative<GivenRange>(rule->statistic) &&
         !std::holds_alternative<CustomStatistic>(rule->statistic);
}

// A scale of 0 divides nothing: the smallest number that the quantizer has stands for it.
at::Tensor without_zeros(const QuantSpec& spec, const at::Tensor& real, const at::Tensor& value,
                         const at::Tensor& scale) {
  const auto least = scale.detach().abs() * smallest_positive(spec.format);
  const auto view = least.expand_as(grouped(real, spec.granularity));
  const auto floor = ungrouped(view, real.sizes(), spec.granularity);
  const auto signed_floor = at::where(real.detach().ge(0), floor, -floor);
  const auto plain = value.detach();
  return straight_through(value, at::where(plain.abs().lt(floor), signed_floor, plain));
}

}  // namespace

std::vector<int64_t> unshared_shape(at::IntArrayRef shape, const Granularity& granularity) {
  auto left = shape.vec();
  const auto rank = static_cast<int64_t>(left.size());
  // Of a split axis the elements of one part share a scale.
  const auto without_split = [&](int64_t axis) {
    left.erase(left.begin() + (axis < 0 ? axis + rank - 1 : axis) + 1);
  };
  std::visit(Overloaded{[&](const PerTensor&) { left.clear(); },
                        [&](const PerChannel& kind) {
                          left = {shape[kind.axis < 0 ? kind.axis + rank : kind.axis]};
                        },
                        [&](const PerGroup& kind) { without_split(kind.axis); },
                        [&](const PerToken&) { left.pop_back(); },
                        [&](const PerBlock&) {
                          left.pop_back();
                          left.erase(left.end() - 2);
                        },
                        [&](const PerHead& kind) {
                          without_split(kind.axis);
                          if (!kind.per_token) left = {kind.heads};
                        },
                        [&](const CustomGranularity&) { std::erase(left, 1); }},
             granularity);
  return left;
}

at::Tensor quantize_minima(const QuantSpec& spec, const at::Tensor& minimum,
                           at::IntArrayRef shape) {
  const auto* kind = std::get_if<QuantizedMinimum>(&spec.zero_point);
  if (kind == nullptr) return minimum;
  const QuantSpec& quantizer = *kind->quantizer;
  const auto real = minimum.neg().reshape(unshared_shape(shape, spec.granularity));
  return fake_quantize(quantizer, real, find_parameters(quantizer, real))
      .neg()
      .reshape(minimum.sizes());
}

at::Tensor find_zero_point(const QuantSpec& spec, const at::Tensor& minimum,
                           const at::Tensor& scale, at::IntArrayRef shape) {
  return zero_point_of_minimum(spec.zero_point, quantize_minima(spec, minimum, shape), scale,
                               bounds_like(spec.format, scale), {spec.rounding, spec.gradient});
}

at::Tensor quantize_scales(const QuantSpec& spec, const at::Tensor& scale, at::IntArrayRef shape) {
  const auto statistic = statistic_of(spec.scale);
  const auto* restriction = statistic ? std::get_if<QuantizedBy>(&statistic->restriction) : nullptr;
  if (restriction == nullptr) return scale;
  const QuantSpec& quantizer = *restriction->quantizer;
  const auto real = scale.reshape(unshared_shape(shape, spec.granularity));
  if (auto value = are_positive(spec) ? fused_scales(quantizer, real) : std::nullopt)
    return value->reshape(scale.sizes());
  const auto parameters = find_parameters(quantizer, real);
  const auto value = fake_quantize(quantizer, real, parameters);
  return without_zeros(quantizer, real, value, parameters.scale).reshape(scale.sizes());
}

}  // namespace laconic
