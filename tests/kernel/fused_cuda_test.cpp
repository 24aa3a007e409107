// The loops of CUDA against those of the CPU, bit for bit. In builds without LACONIC_CUDA, which do
// not load LibTorch's CUDA library, it skips.
#include <ATen/ATen.h>

#include "laconic/kernel/fused/fused.h"
#include "tests/testing/testing.h"

namespace laconic::kernel {
namespace {

struct Case {
  int64_t group;  ///< 0: all elements
  ElementGrid grid;
  RangeRule rule;
};

std::vector<Case> cases() {
  using Statistic = RangeStatistic;
  using Restriction = ScaleRestriction;
  const ElementGrid int4 = integer_grid(-8, 7), uint4 = integer_grid(0, 15);
  const ElementGrid e4m3{GridKind::kMinifloat, -448, 448, 0x1p-6F, 0x1p-3F, true};
  const RangeRule plain{Statistic::kAbsMax, Restriction::kAny, ZeroRule::kNone, 1e-10F, 7};
  RangeRule power = plain, half = plain, short_float = plain, whole = plain, real = plain;
  power.restriction = Restriction::kPowerFloor;
  half.restriction = Restriction::kHalf;
  short_float.restriction = Restriction::kBfloat16;
  whole.statistic = Statistic::kMinMax, whole.zero_point = ZeroRule::kInteger;
  real.statistic = Statistic::kMinMaxWithoutZero, real.zero_point = ZeroRule::kFloat;
  return {{128, int4, plain}, {32, e4m3, power},   {16, int4, half}, {0, e4m3, plain},
          {0, int4, plain},   {128, uint4, whole}, {0, uint4, real}, {4096, int4, short_float}};
}

void expect_same(const Case& what, const at::Tensor& x) {
  const int64_t length = what.group == 0 ? x.numel() : x.size(1);
  const int64_t rows = x.numel() / length, group = what.group == 0 ? length : what.group;
  if (group > length) return;
  const ScaleRuns runs{rows, length, group, rows};
  const auto numbers = [&](const at::Tensor& beside) {
    const auto options = beside.options().dtype(at::kFloat);
    FoundNumbers made{at::empty({runs.scales()}, options), {}};
    if (what.rule.zero_point != ZeroRule::kNone)
      made.zero_point = at::empty({runs.scales()}, options);
    return made;
  };
  const at::Tensor there = x.cuda(), value = at::empty_like(x), found = at::empty_like(there),
                   given = at::empty_like(there);
  const FoundNumbers here = numbers(x), away = numbers(there);
  ASSERT_TRUE(quantize_found(x, runs, what.grid, what.rule, value, here));
  ASSERT_TRUE(quantize_found(there, runs, what.grid, what.rule, found, away));
  quantize_given(there, runs, what.grid, {away.scale, away.zero_point}, given);
  EXPECT_TRUE(at::equal(away.scale.cpu(), here.scale));
  EXPECT_TRUE(at::equal(found.cpu(), value));
  EXPECT_TRUE(at::equal(given.cpu(), value));
  there.view(-1)[3] = NAN;
  EXPECT_FALSE(quantize_found(there, runs, what.grid, what.rule, found, {}));
}

TEST(FusedCuda, GivesTheBitsOfTheCpu) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA in this build or machine";
  at::manual_seed(1);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    // Runs of whole packs, runs that no block holds, and a length that fits nothing.
    for (const auto& sizes : std::vector<std::vector<int64_t>>{
             {64, 1024}, {33, 4096}, {5, 32768}, {7, 20000}, {16, 103}}) {
      const at::Tensor x = at::randn(sizes) * 3;
      x[1].narrow(0, 0, 80).copy_(at::arange(-40, 40, at::kFloat) / 2);
      for (const Case& what : cases()) expect_same(what, x.to(dtype));
    }
  }
}

}  // namespace
}  // namespace laconic::kernel
