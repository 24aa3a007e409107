#include "laconic/quant/quantizer/complex_pairs.h"

#include <ATen/ops/full_like.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include "laconic/quant/format/complex_signs.h"

namespace laconic {
namespace {

// [..., 2k] -> [..., k, 2]
at::Tensor in_pairs(const at::Tensor& x) {
  TORCH_CHECK_VALUE(x.dim() > 0 && x.size(-1) % 2 == 0,
                    "[complex_signs] expected an even size of the last axis (real and imaginary "
                    "parts side by side), got shape ",
                    x.sizes(), ".");
  auto shape = x.sizes().vec();
  shape.back() /= 2;
  shape.push_back(2);
  return x.reshape(shape);
}

// That the parts of a number share a scale, which an axis says only beside a shape.
void check_granularity_of(const QuantSpec& spec, const at::Tensor& x) {
  const auto is_last = [&](int64_t axis) { return axis == -1 || axis + 1 == x.dim(); };
  const auto* channel = std::get_if<PerChannel>(&spec.granularity);
  TORCH_CHECK_VALUE(channel == nullptr || !is_last(channel->axis),
                    "[complex_signs] granularity channel of axis ", x.dim() - 1, ", shape ",
                    x.sizes(),
                    ": expected an axis before the last one, whose neighbours are one number.");
  const auto* group = std::get_if<PerGroup>(&spec.granularity);
  TORCH_CHECK_VALUE(group == nullptr || is_last(group->axis), "[complex_signs] groups of axis ",
                    group != nullptr ? group->axis : 0, ", shape ", x.sizes(),
                    ": expected groups of the last axis.");
}

// Code 0 to 3 of each pair.
at::Tensor codes_of_pairs(const at::Tensor& pairs) {
  return complex_sign_codes(pairs.select(-1, 0), pairs.select(-1, 1));
}

// Whether the numbers of the pairs are those that are not 0: [..., k, 2].
at::Tensor is_kept(const at::Tensor& codes) {
  const auto imaginary = codes.bitwise_and(1).eq(1);
  return at::stack({imaginary.logical_not(), imaginary}, -1);
}

// Mean of |x| of each scale's numbers where `chosen`, both in the shape of x.
at::Tensor mean_where(const QuantSpec& spec, const at::Tensor& x, const at::Tensor& chosen,
                      at::IntArrayRef shape) {
  const auto sum = [&](const at::Tensor& of) {
    return grouped(of, spec.granularity).sum_to_size(shape);
  };
  const auto weight = chosen.to(at::kDouble);
  const auto mean = sum(x.abs().to(at::kDouble) * weight) / sum(weight).clamp_min(1);
  return mean.to(x.scalar_type()).clamp_min(statistic_of(spec.scale)->minimum);
}

}  // namespace

QuantParameters find_pair_scales(const QuantSpec& spec, const at::Tensor& given) {
  check_granularity_of(spec, given);
  if (spec.non_finite == NonFinite::kRefuse) check_quantizable(given);
  const bool is_double = given.scalar_type() == at::kDouble;
  const auto x = given.detach().to(is_double ? at::kDouble : at::kFloat);
  const auto kept = is_kept(codes_of_pairs(in_pairs(x)));
  const auto shape = scale_shape(x.sizes(), spec.granularity);
  const auto mean_of_part = [&](int64_t part) {
    auto chosen = at::zeros_like(kept);
    chosen.select(-1, part).copy_(kept.select(-1, part));
    return mean_where(spec, x, chosen.reshape(x.sizes()), shape);
  };
  QuantParameters parameters{mean_of_part(0), {}};
  parameters.plane_scales = mean_of_part(1).unsqueeze(0);
  return parameters;
}

at::Tensor pair_codes(const QuantSpec& spec, const at::Tensor& x) {
  check_granularity_of(spec, x);
  const auto codes = codes_of_pairs(in_pairs(x.detach()));
  return at::stack({codes.bitwise_and(1), codes.bitwise_right_shift(1)}, -1).reshape(x.sizes());
}

at::Tensor value_of_pairs(const QuantSpec& spec, const at::Tensor& codes,
                          const QuantParameters& parameters) {
  check_granularity_of(spec, codes);
  TORCH_CHECK_VALUE(codes.ge(0).logical_and(codes.le(1)).all().item<bool>(),
                    "[complex_signs] codes: expected 0 and 1, got others.");
  const auto pairs = in_pairs(codes.to(at::kByte));
  const auto code = pairs.select(-1, 0) + pairs.select(-1, 1) * 2;
  const auto each = [&](const at::Tensor& scale) {  // in the shape of the pairs
    const auto ones = at::ones(codes.sizes(), scale.options());
    return in_pairs(
        ungrouped(grouped(ones, spec.granularity) * scale, codes.sizes(), spec.granularity));
  };
  const auto scales = at::stack({each(parameters.scale).select(-1, 0),
                                 each(parameters.plane_scales.select(0, 0)).select(-1, 1)},
                                -1);
  const auto sign = at::where(code.ge(2), -1.0, 1.0).to(scales.scalar_type()).unsqueeze(-1);
  const auto value = at::where(is_kept(code), scales * sign, at::zeros_like(scales));
  return value.reshape(codes.sizes());
}

}  // namespace laconic
