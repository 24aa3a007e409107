// The fused kernels on bfloat16, which quantize minifloats on the bits of the numbers, against the
// composed path: at every number, and under scales at which ties are close.
#include <bit>
#include <cmath>
#include <cstdint>

#include "tests/quant/fused_cases.h"

namespace laconic {
namespace {

using namespace laconic::testing;

float from_bits(uint32_t upper_half) { return std::bit_cast<float>(upper_half << 16); }

/// All numbers of bfloat16 from `low` to `high` in size, both signs, then zeros, in rows of
/// `columns`.
at::Tensor all_numbers(float low, float high, int64_t columns) {
  const auto first = std::bit_cast<uint32_t>(low) >> 16, last = std::bit_cast<uint32_t>(high) >> 16;
  std::vector<float> numbers;
  for (uint32_t i = first; i <= last; ++i)
    for (const uint32_t sign : {0U, 0x8000U}) numbers.push_back(from_bits(sign | i));
  while (static_cast<int64_t>(numbers.size()) % columns != 0) numbers.push_back(0);
  return at::tensor(numbers).to(at::kBFloat16).reshape({-1, columns});
}

/// A largest magnitude of `largest` is the least: so the scale is the same in every group.
QuantSpec at_least(const QuantSpec& spec, double largest) {
  auto scale = *statistic_of(spec.scale);
  scale.minimum = largest;
  return spec.let(Scale(StatisticScale{scale}));
}

std::vector<Format> narrow_formats() {
  MinifloatFormat moved = e2m1(), of_powers = e5m2(), of_many_digits = e4m3();
  moved.exponent_bias = 9;
  of_powers.mantissa_bits = 0, of_powers.specials = FloatSpecials::kNone;
  of_many_digits.mantissa_bits = 5;
  return {e2m1(), moved, e4m3(), e5m2(), e3m2(), of_powers, of_many_digits, e4m3_fnuz()};
}

std::vector<Granularity> narrow_granularities() {
  std::vector<Granularity> all{PerTensor{}, PerChannel{.axis = 0}};
  for (const int64_t group : {16, 32, 48, 120})
    all.push_back(PerGroup{.axis = 1, .group_size = group, .pad = true});
  return all;
}

std::vector<Restriction> narrow_restrictions() {
  return {AnyFloat{}, PowerOfTwo{PowerRounding::kFloor}, StoredAs{c10::ScalarType::BFloat16},
          QuantizedBy{QuantSpec{}.let(e4m3())}};
}

TEST(FusedNarrow, EqualsTheComposedPathAtEveryNumber) {
  for (const Format& format : narrow_formats()) {
    for (const Restriction& restriction : narrow_restrictions()) {
      for (const float largest : {448.0F, 5.3828125F, 0x1.4p-50F}) {
        const auto x = all_numbers(0, largest, 4800);
        for (const Granularity& granularity : narrow_granularities())
          expect_found_as_composed(
              at_least(QuantSpec{}.let(format, granularity, restriction), largest), x);
        if (::testing::Test::HasFailure()) return;  // the first says enough
      }
    }
  }
}

TEST(FusedNarrow, ScalesNextToTiesRoundAsTheComposedPathDoes) {
  at::manual_seed(1);
  int64_t scales = 0;
  for (const double factor : {1.0, 1.25, 1.5, 1.75, 1.125, 1.0625}) {
    for (int i = 0; i < 12; ++i) {
      // So that a number of bfloat16 is the factor times the scale, about.
      const double number = from_bits(0x3F80 + static_cast<uint32_t>(i * 53 % 128));
      for (const int places : {-2, -1, 0, 1, 2}) {
        const float tie = static_cast<float>(number / factor);
        const double scale = tie + places * std::ldexp(1.0, std::ilogb(tie) - 23);
        for (const Format& format : {Format(e2m1()), Format(e4m3())}) {
          const double largest = scale * element_range(format).high;
          const auto spec = at_least(QuantSpec{}.let(format, PerGroup{1, 16}), largest);
          const auto x = all_numbers(0.2F, 15.0F, 4800);
          expect_found_as_composed(spec, x.clamp(-largest, largest));
          expect_found_as_composed(spec.let(PerTensor{}), x.clamp(-largest, largest));
        }
        ++scales;
      }
      if (::testing::Test::HasFailure()) return;
    }
  }
  EXPECT_EQ(scales, 360);
}

TEST(FusedNarrow, GroupsOfAllSizesOfNumbersKeepTheirOwnScales) {
  at::manual_seed(2);
  for (const Format& format : narrow_formats()) {
    for (const Restriction& restriction : narrow_restrictions()) {
      for (const int64_t group : {16, 32, 64}) {
        const auto spec =
            QuantSpec{}.let(format, restriction, PerGroup{.axis = 1, .group_size = group});
        const auto sizes = at::exp2(at::randint(-40, 40, {64, 1}));
        auto x = (at::randn({64, 320}) * sizes).to(at::kBFloat16);
        expect_found_as_composed(spec, x);
        x[3].zero_();  // these too in the same batch
        x[4].mul_(1e-38);
        x[5].fill_(-0.0);
        x[60].mul_(1e20);
        expect_found_as_composed(spec, x);
        if (::testing::Test::HasFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace laconic
