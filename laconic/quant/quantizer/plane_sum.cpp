#include "laconic/quant/quantizer/plane_sum.h"

#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

namespace laconic {
namespace {

const PlaneSumFormat& format_of(const QuantSpec& spec) {
  return std::get<PlaneSumFormat>(spec.format);
}

Format plane_format(const QuantSpec& spec) {
  if (format_of(spec).plane == Plane::kBinary) return BinaryFormat{};
  return TernaryFormat{};
}

at::Tensor scale_of(const QuantParameters& parameters, int64_t plane) {
  return plane == 0 ? parameters.scale : parameters.plane_scales.select(0, plane - 1);
}

int64_t plane_code(const PlaneSumFormat& format, int64_t code, int64_t plane) {
  const int64_t bits = plane_bits(format);
  return (code >> (plane * bits)) & ((int64_t{1} << bits) - 1);
}

// What a code is worth with each scale; undefined where a plane does not have its part.
at::Tensor worth(const QuantSpec& spec, const QuantParameters& parameters, int64_t code) {
  const auto numbers = values(plane_format(spec));
  at::Tensor sum;
  for (int64_t i = 0; i < format_of(spec).planes; ++i) {
    const int64_t own = plane_code(format_of(spec), code, i);
    if (own >= static_cast<int64_t>(numbers.size())) return {};
    const auto part = scale_of(parameters, i) * numbers[static_cast<size_t>(own)];
    sum = sum.defined() ? sum + part : part;
  }
  return sum;
}

}  // namespace

PlanesSpec planes_of(const QuantSpec& spec) {
  const PlaneSumFormat& format = format_of(spec);
  return {std::vector<QuantSpec>(static_cast<size_t>(format.planes), spec.let(plane_format(spec))),
          0, format.rounds};
}

QuantParameters find_plane_scales(const QuantSpec& spec, const at::Tensor& x) {
  const PlanesTensor found = quantize_planes(planes_of(spec), x);
  std::vector<at::Tensor> others;
  for (size_t i = 1; i < found.planes.size(); ++i) others.push_back(found.planes[i].scale);
  QuantParameters parameters{found.planes.front().scale, {}};
  parameters.plane_scales = at::stack(others);
  return parameters;
}

at::Tensor nearest_plane_codes(const QuantSpec& spec, const at::Tensor& x,
                               const QuantParameters& parameters) {
  const auto real = grouped(x.detach().to(parameters.scale.scalar_type()), spec.granularity);
  auto codes = at::zeros(real.sizes(), real.options().dtype(c10::ScalarType::Byte));
  at::Tensor least;
  for (int64_t code = 0; code <= code_range(spec.format).q_max; ++code) {
    const auto value = worth(spec, parameters, code);
    if (!value.defined()) continue;
    const auto error = (real - value).abs();
    if (!least.defined()) {
      least = error;
      continue;
    }
    const auto better = error.lt(least);
    codes.masked_fill_(better, code);
    least = at::where(better, error, least);
  }
  return ungrouped(codes, x.sizes(), spec.granularity).contiguous();
}

at::Tensor value_of_planes(const QuantSpec& spec, const at::Tensor& codes,
                           const QuantParameters& parameters) {
  const int64_t bits = plane_bits(format_of(spec)), mask = (int64_t{1} << bits) - 1;
  const auto dtype = parameters.scale.scalar_type();
  const auto whole = grouped(codes.to(c10::ScalarType::Int), spec.granularity);
  at::Tensor sum;
  for (int64_t i = 0; i < format_of(spec).planes; ++i) {
    const auto own = whole.bitwise_right_shift(i * bits).bitwise_and(mask);
    const auto part = decode(plane_format(spec), own, dtype) * scale_of(parameters, i);
    sum = sum.defined() ? sum + part : part;
  }
  return ungrouped(sum, codes.sizes(), spec.granularity);
}

}  // namespace laconic
