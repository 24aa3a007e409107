#include "laconic/solve/learned/neighbours.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>

namespace laconic::learned_rounding {
namespace {

bool has_sign_and_subnormals(const MinifloatFormat& format) {
  // Exponents of float32, of which the bits are looked at.
  return format.is_signed && format.subnormals && limits(format).lowest_exponent >= -126 &&
         limits(format).largest < 1e38;
}

/// Steps of a minifloat grow with the power of two below the number, which is its exponent field.
Neighbours around(const MinifloatFormat& format, const at::Tensor& real) {
  constexpr int64_t kExponentField = 0x7f800000;
  const MinifloatLimits limit = limits(format);
  const at::Tensor size = real.abs().clamp_max(limit.largest);
  const at::Tensor step = size.view(at::kInt)
                              .bitwise_and(kExponentField)
                              .view(at::kFloat)
                              .clamp_min(std::ldexp(1.0, static_cast<int>(limit.lowest_exponent)))
                              .mul_(std::ldexp(1.0, static_cast<int>(-format.mantissa_bits)));
  const at::Tensor inner = (size / step).floor_().mul_(step);
  const at::Tensor outer = (inner + step).clamp_max_(limit.largest);
  const at::Tensor is_negative = real.lt(0);
  return {at::where(is_negative, outer.neg(), inner), at::where(is_negative, inner.neg(), outer)};
}

}  // namespace

Neighbours neighbours_in_table(const Format& format, const at::Tensor& real) {
  std::vector<double> numbers = values(format);
  std::erase_if(numbers, [](double number) { return !std::isfinite(number); });
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  const auto count = static_cast<int64_t>(numbers.size());
  at::Tensor table = at::empty({count}, at::kFloat);
  for (int64_t i = 0; i < count; ++i)
    table.mutable_data_ptr<float>()[i] = static_cast<float>(numbers[static_cast<size_t>(i)]);
  table = table.to(real.device());
  // How many numbers x has reached: 0 below all of them.
  const at::Tensor reached =
      at::searchsorted(table, real.contiguous(), /*out_int32=*/false, /*right=*/true);
  return {table.take((reached - 1).clamp_min(0)), table.take(reached.clamp_max(count - 1))};
}

Neighbours neighbours(const Format& format, const at::Tensor& real) {
  if (const auto* whole = std::get_if<IntFormat>(&format)) {
    const auto range = code_range(*whole);
    const at::Tensor below = real.floor();
    return {below.clamp(range.q_min, range.q_max), (below + 1).clamp_(range.q_min, range.q_max)};
  }
  const auto* small = std::get_if<MinifloatFormat>(&format);
  if (small != nullptr && has_sign_and_subnormals(*small)) return around(*small, real);
  return neighbours_in_table(format, real);
}

}  // namespace laconic::learned_rounding
