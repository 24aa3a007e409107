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

/// Codes of a row, and where its range starts if they have a zero point.
struct CodeRangeOfRow {
  float low, high, start = 0;
  bool is_symmetric() const { return low < 0; }
  float zero_point_of(float scale) const {
    return is_symmetric() ? 0 : std::clamp(std::nearbyint(-start / scale + low), low, high);
  }
};

/// Rounds of one short row by all its shifts, as they are written down.
struct PlainRounds {
  std::vector<double> errors;
  std::vector<float> medians;
  PlainRounds(const at::Tensor& row, float scale, const CodeRangeOfRow& range,
              const HalfQuadraticTimes& times, const FreeScales& free) {
    ShortRoom room;
    float zero_point = range.zero_point_of(scale);
    double beta = times.beta;
    for (int64_t i = 0; i < times.rounds; ++i, beta *= times.kappa) {
      const float low = range.low - zero_point, high = range.high - zero_point;
      const RowCodes codes = scale < 0 ? RowCodes{-scale, -high, -low} : RowCodes{scale, low, high};
      const auto found = round_of_all_shifts(row.const_data_ptr<float>(), row.numel(), codes,
                                             Shrinkage{static_cast<float>(kPower), beta}, room);
      const float shift = std::isfinite(found.shift) ? static_cast<float>(found.shift) : 0.0F;
      scale += scale < 0 ? -shift : shift;
      errors.push_back(found.error);
      medians.push_back(scale);
      scale = free.of_median(scale);
      zero_point = range.zero_point_of(scale);
    }
  }
};

/// Rows of `count` numbers that are hard in some way, about 1 in size, and random ones.
at::Tensor short_rows(int64_t count) {
  const at::Tensor random = at::randn({5, count});
  return at::cat({random, random / at::rand({5, count}).sqrt(), at::round(random * 4) / 4,
                  at::zeros({1, count}), at::full({1, count}, 0.7),
                  at::where(random.gt(0.5), random, at::zeros_like(random)),
                  at::where(random.gt(1), random * 1e4, random), random.abs() + 1});
}

void expect_plain_rounds(const at::Tensor& rows, const CodeRangeOfRow& codes, double beta) {
  const bool has_zero_point = !codes.is_symmetric();
  FreeScales free{1e-30F, codes.high, {}};
  if (has_zero_point) free.range_start = rows.amin(1).clamp_max(0);
  HalfQuadraticStart start{(rows.abs().amax(1) / codes.high).clamp_min(1e-30), {}};
  start.scale.slice(0, 0, rows.size(0), 3).neg_();
  std::vector<CodeRangeOfRow> ranges(static_cast<size_t>(rows.size(0)), codes);
  if (has_zero_point) {
    start.zero_point = at::empty_like(start.scale);
    for (int64_t row = 0; row < rows.size(0); ++row) {
      auto& range = ranges[static_cast<size_t>(row)];
      range.start = free.range_start[row].item<float>();
      start.zero_point[row] = range.zero_point_of(start.scale[row].item<float>());
    }
  }
  HalfQuadraticSearch search(rows, codes.low, codes.high, kPower);
  const HalfQuadraticTimes times{beta, 1.05, 200};
  const auto all = search.rounds(start, times, free);
  std::vector<double> errors(static_cast<size_t>(times.rounds), 0.0);
  for (int64_t row = 0; row < rows.size(0); ++row) {
    const PlainRounds plain(rows[row].contiguous(), start.scale[row].item<float>(),
                            ranges[static_cast<size_t>(row)], times, free);
    EXPECT_TRUE(at::equal(all.medians.select(1, row), at::tensor(plain.medians))) << "row " << row;
    for (size_t i = 0; i < errors.size(); ++i) errors[i] += plain.errors[i];
  }
  EXPECT_EQ(errors, all.errors);
}

TEST(HalfQuadraticRounds, OfShortRowsHaveTheBitsOfAllShifts) {
  at::manual_seed(4);
  for (const int64_t count : {1, 2, 3, 5, 8, 16, 17, 32, 64, 100, 128, 255})
    for (const CodeRangeOfRow& codes : {CodeRangeOfRow{-7, 7}, {-1, 1}, {-128, 127}, {0, 15}})
      for (const double size : {1.0, 0.02, 1e-37, 1e30})
        for (const double beta : {1.0, 1e5}) {
          SCOPED_TRACE(c10::str(count, " numbers, codes to ", codes.high, ", size ", size));
          expect_plain_rounds(short_rows(count) * size, codes, beta);
        }
}

TEST(HalfQuadraticRounds, OfAnEarlierTimeAreNotThoseOfTheLast) {
  // A beta that falls moves scales again that had come to rest.
  at::manual_seed(5);
  const at::Tensor rows = at::randn({20, 64});
  const HalfQuadraticStart start{rows.abs().amax(1) / 7, {}};
  auto search = search_of(rows, {}), fresh = search;
  search.round(start, 1e9);
  EXPECT_TRUE(at::equal(search.round(start, 1).medians, fresh.round(start, 1).medians));
}

}  // namespace
}  // namespace laconic::kernel
