#include "laconic/kernel/half_quadratic/half_quadratic.h"

#include <ATen/ATen.h>

#include <cmath>

#include "tests/testing/testing.h"

namespace laconic::kernel {
namespace {

constexpr double kPower = 0.7, kBeta = 10;

/// Errors and shifts of a row, element by element.
struct DirectShifts {
  double error = 0;
  std::vector<double> shifts;
  DirectShifts(const at::Tensor& x, const RowCodes& codes) {
    for (int64_t i = 0; i < x.numel(); ++i) {
      const double at = x[i].item<double>(), scale = static_cast<double>(codes.scale);
      const double code = std::clamp(std::nearbyint(at / scale), static_cast<double>(codes.low),
                                     static_cast<double>(codes.high));
      const double rest = at - code * scale, size = std::abs(rest);
      error += size;
      if (code == 0) continue;
      const double kept = std::min(size, std::pow(size, kPower - 1) / kBeta);
      shifts.push_back(std::copysign(kept, rest) / code);
    }
  }
  int64_t above(double edge) const {
    return std::count_if(shifts.begin(), shifts.end(), [&](double shift) { return shift > edge; });
  }
};

TEST(RowShifts, AreCountedAsOneByOneWhileTheScaleMoves) {
  at::manual_seed(1);
  const int64_t count = 700;
  const at::Tensor x = std::get<0>(at::randn({count}).sort());
  at::Tensor room = at::full({count + 2}, std::numeric_limits<float>::infinity());
  room[0] = -room[0];
  room.slice(0, 1, count + 1).copy_(x);
  const at::Tensor sums =
      at::cat({at::zeros({1}, at::kDouble), x.to(at::kDouble).cumsum(0)}).contiguous();
  const SortedRow row{room.const_data_ptr<float>() + 1, sums.const_data_ptr<double>(), count};
  for (const auto& [low, high] : {std::pair{-7.0F, 7.0F}, {-3.0F, 12.0F}, {-128.0F, 127.0F}}) {
    RowPlaces places(1, static_cast<int64_t>(high - low) + 1);
    const CodePlaces kept = places[0];
    const CodePowers powers(high - low, static_cast<float>(kPower));
    RowShifts shifts(row, powers, kept);
    for (const double part : {1.0, 0.9, 1.02, 0.4}) {
      const RowCodes codes{static_cast<float>(part * 3.5) / high, low, high};
      shifts.set_codes(codes);
      const DirectShifts direct(x, codes);
      EXPECT_NEAR(shifts.error(), direct.error, 1e-5 * direct.error);  // float32 edges
      EXPECT_EQ(shifts.usable(), static_cast<int64_t>(direct.shifts.size()));
      const Shrinkage by{static_cast<float>(kPower), kBeta};
      for (const double edge : {-0.1, -0.02, -0.001, 0.0, 0.003, 0.03, 0.2}) {
        const CountPair above = shifts.above({edge_at(edge), edge_at(-edge)}, by);
        EXPECT_NEAR(above[0], direct.above(edge), 1);  // one may lie on an edge in float32
        EXPECT_NEAR(above[1], direct.above(-edge), 1);
      }
    }
  }
}

HalfQuadraticSearch search_of(const at::Tensor& rows, const at::Tensor& zero_point) {
  return {rows, zero_point.defined() ? 0.0F : -7.0F, zero_point.defined() ? 15.0F : 7.0F, kPower};
}

TEST(HalfQuadraticRounds, TogetherGiveTheBitsOfOneAtATime) {
  at::manual_seed(2);
  for (const int64_t count : {100, 600}) {  // all shifts; counts
    for (const bool has_zero_point : {false, true}) {
      const at::Tensor rows = at::randn({5, count});
      FreeScales free{1e-3F, has_zero_point ? 15.0F : 7.0F, {}};
      HalfQuadraticStart start{at::linspace(0.2, 0.5, 5), {}};
      if (has_zero_point) free.range_start = rows.amin(1);
      const auto add_zero_point = [&] {
        if (has_zero_point)
          start.zero_point = at::clamp(at::round(-free.range_start / start.scale), 0, 15);
      };
      add_zero_point();
      auto together = search_of(rows, free.range_start), single = together;
      const auto all = together.rounds(start, {kBeta, 1.1, 20}, free);
      double beta = kBeta;
      for (int64_t i = 0; i < 20; ++i, beta *= 1.1) {
        const auto one = single.round(start, beta);
        EXPECT_EQ(one.errors[0], all.errors[static_cast<size_t>(i)]);
        EXPECT_TRUE(at::equal(one.medians[0], all.medians[i]));
        start.scale = at::clamp_min(one.medians[0], free.minimum) * free.threshold / free.threshold;
        add_zero_point();
      }
    }
  }
}

TEST(HalfQuadraticRounds, OfANegativeScaleAreThoseOfThePositiveOneMirrored) {
  at::manual_seed(3);
  const at::Tensor rows = at::randn({3, 500}), scale = at::full({3}, 0.3);
  const auto plain = search_of(rows, {}).round({scale, {}}, kBeta);
  const auto mirrored = search_of(rows, {}).round({-scale, {}}, kBeta);
  EXPECT_TRUE(at::equal(mirrored.medians, -plain.medians));
  EXPECT_EQ(mirrored.errors, plain.errors);
}

TEST(HalfQuadraticRounds, WithoutCodesButZeroKeepTheScale) {
  const at::Tensor rows = at::full({2, 300}, 0.01), scale = at::full({2}, 1.0);
  const auto found = search_of(rows, {}).round({scale, {}}, kBeta);
  EXPECT_TRUE(at::equal(found.medians[0], scale));
  EXPECT_NEAR(found.errors[0], 6, 1e-4);
}

}  // namespace
}  // namespace laconic::kernel
