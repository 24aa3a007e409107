// Scales that rows share (other axes than the last, blocks, heads): the fused kernels against the
// composed path.
#include <ATen/Parallel.h>

#include <limits>

#include "laconic/quant/quantizer/block_formats.h"
#include "tests/quant/fused_cases.h"

namespace laconic {
namespace {

using namespace laconic::testing;

std::vector<QuantSpec> band_specs() {
  const auto int4 = QuantSpec{}.let(IntFormat{.bit_width = 4});
  const auto uint4 = QuantSpec{}.let(IntFormat{4, false}, MinMax{});
  const auto eights = QuantSpec{}.let(IntFormat{.bit_width = 8, .is_signed = false});
  return {int4,
          int4.let(Threshold::kFullRange, StoredAs{}, Clipped{}),
          int4.let(IntFormat{.bit_width = 8}, PowerOfTwo{}),
          int4.let(Restriction(QuantizedBy{eights})),
          uint4.let(IntegerZeroPoint{}),
          uint4.let(FloatZeroPoint{}, Clipped{}),
          uint4.let(StoredMinimum{}),
          int4.let(MinMax{.include_zero = false}, IntegerZeroPoint{}),
          int4.let(e4m3()),
          int4.let(e2m1(), Restriction(QuantizedBy{QuantSpec{}.let(e4m3())})),
          int4.let(e5m2(), PowerOfTwo{})};
}

/// Tensors of one shape, and layouts of their scales that the loops know.
struct BandCase {
  std::vector<int64_t> sizes;
  std::vector<Granularity> granularities;
};
std::vector<BandCase> band_cases() {
  const std::vector<int64_t> odd{2, 12, 51}, matrix{50, 70};
  return {{{3, 12, 96}, banded_granularities()},
          {odd,
           {PerChannel{.axis = 1}, PerChannel{.axis = -1}, PerGroup{.axis = -2, .group_size = 6},
            PerBlock{.rows = 3, .columns = 17}, PerBlock{.rows = 4, .columns = 20, .pad = true},
            PerHead{.axis = 2, .heads = 17}, PerHead{.axis = 2, .heads = 1}}},
          {matrix,
           {PerChannel{.axis = 1}, PerGroup{.axis = 0, .group_size = 16, .pad = true},
            PerBlock{.rows = 16, .columns = 16, .pad = true}, PerBlock{.rows = 25, .columns = 5}}},
          {{4, 8, 3, 3},
           {PerChannel{.axis = 1}, PerGroup{.axis = 1, .group_size = 8},
            PerGroup{.axis = 0, .group_size = 4}}}};
}

template <typename Body>
void for_band_specs(const Body& body) {
  for (const BandCase& one : band_cases()) {
    for (const Granularity& granularity : one.granularities) {
      for (const QuantSpec& plain : band_specs()) {
        const QuantSpec spec = plain.let(granularity);
        SCOPED_TRACE(to_string(spec));
        ASSERT_TRUE(fits(spec, one.sizes)) << at::IntArrayRef(one.sizes);
        ASSERT_TRUE(runs_of(granularity, one.sizes)->in_bands());
        body(spec, hard_tensor(one.sizes));
        if (::testing::Test::HasFailure()) return;  // the first says enough
      }
    }
  }
}

TEST(FusedBands, FindScalesAndQuantizeInOneGo) {
  at::manual_seed(1);
  for_band_specs([](const QuantSpec& spec, const at::Tensor& x) {
    if (std::holds_alternative<StoredMinimum>(spec.zero_point)) return;
    for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16})
      expect_found_as_composed(spec, x.to(dtype));
  });
}

TEST(FusedBands, QuantizeWithGivenScales) {
  at::manual_seed(2);
  for_band_specs([](const QuantSpec& spec, const at::Tensor& x) {
    const auto parameters = find_parameters(spec, x);
    for (const double factor : {1.0, 0.3, 1e-30}) {  // everything is clipped somewhere
      const QuantParameters used{parameters.scale * factor, parameters.zero_point};
      const auto fused = fused_fake_quantize(spec, x, used);
      ASSERT_TRUE(fused.has_value());
      expect_same(*fused, fake_quantize_composed(spec, x, used));
      const auto codes = fused_codes(spec, x, used);
      if (codes) {
        EXPECT_TRUE(at::equal(dequantize(spec, *codes, used), *fused));
      }
    }
  });
}

TEST(FusedBands, GradientsAreThoseOfTheComposedPath) {
  at::manual_seed(3);
  for_band_specs([](const QuantSpec& spec, const at::Tensor& x) {
    expect_gradient_as_composed(spec, x);
    // No huge numbers: their terms cancel in the gradient of the zero point.
    if (!std::holds_alternative<StoredMinimum>(spec.zero_point))
      expect_given_gradients_as_composed(spec, at::randn(x.sizes()));
  });
}

/// Bands that fit no cache, many patches across and along.
std::vector<std::pair<Granularity, std::vector<int64_t>>> large_bands() {
  return {{PerChannel{.axis = 1}, {5000, 70}},
          {PerChannel{.axis = 1}, {600, 2500}},
          {PerBlock{.rows = 300, .columns = 700, .pad = true}, {700, 2500}},
          {PerGroup{.axis = 1, .group_size = 300}, {2, 600, 1100}},
          {PerHead{.axis = -1, .heads = 5}, {9000, 320}}};
}

TEST(FusedBands, AreTheSameInManyPatchesAndOnAnyNumberOfThreads) {
  at::manual_seed(4);
  const int threads = at::get_num_threads();
  for (const auto& [granularity, sizes] : large_bands()) {
    const auto x = hard_tensor(sizes), weight = at::randn(sizes);
    for (const QuantSpec& plain :
         {QuantSpec{}.let(IntFormat{.bit_width = 4}),
          QuantSpec{}.let(IntFormat{4, false}, MinMax{}, IntegerZeroPoint{})}) {
      const QuantSpec spec = plain.let(granularity);
      expect_found_as_composed(spec, x);
      const auto quantizer = [&](const auto& in) { return fake_quantize_dynamic(spec, in[0]); };
      const auto all = gradients(quantizer, weight, {x})[0];
      at::set_num_threads(1);
      EXPECT_TRUE(at::equal(gradients(quantizer, weight, {x})[0], all));
      at::set_num_threads(threads);
    }
  }
}

TEST(FusedBands, NeverHideNan) {
  for (const auto& [granularity, sizes] : large_bands()) {
    auto x = at::randn(sizes);
    x.flatten()[x.numel() / 2 + 7] = std::numeric_limits<float>::quiet_NaN();
    const auto spec = QuantSpec{}.let(granularity);
    EXPECT_FALSE(fused_quantize(spec, x).has_value());
    EXPECT_THROW(fake_quantize_dynamic(spec, x), c10::ValueError);
  }
}

}  // namespace
}  // namespace laconic
