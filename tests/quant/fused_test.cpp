// The fused kernels against the composed path, bit for bit, over all parts that both know.
#include "laconic/quant/quantizer/fused.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>

#include "tests/quant/fused_cases.h"

namespace laconic {
namespace {

using namespace laconic::testing;

std::vector<QuantSpec> specs() {
  std::vector<QuantSpec> all;
  for (const Granularity& granularity : fused_granularities()) {
    for (const int64_t bits : {2, 3, 4, 7, 8}) {
      for (const bool narrow : {false, true}) {
        const auto is_signed = QuantSpec{}.let(granularity, IntFormat{bits, true, narrow});
        const auto is_not = QuantSpec{}.let(granularity, IntFormat{bits, false, narrow}, MinMax{});
        all.insert(all.end(),
                   {is_signed, is_signed.let(Threshold::kFullRange, StoredAs{}, Clipped{}),
                    is_signed.let(PowerOfTwo{}), is_not.let(IntegerZeroPoint{}),
                    is_not.let(FloatZeroPoint{}), is_not.let(StoredMinimum{}),
                    is_signed.let(MinMax{.include_zero = false}, IntegerZeroPoint{})});
      }
    }
  }
  return all;
}

TEST(Fused, EqualsTheComposedPathBitForBit) {
  at::manual_seed(1);
  for (const QuantSpec& spec : specs()) {
    for (const std::vector<int64_t>& sizes :
         {std::vector<int64_t>{3, 5, 96}, std::vector<int64_t>{2, 12, 103}}) {
      if (!fits(spec, sizes)) continue;
      SCOPED_TRACE(to_string(spec));
      const auto x = hard_tensor(sizes);
      const auto parameters = find_parameters(spec, x);
      // Scales of another tensor too: everything is clipped somewhere.
      for (const double factor : {1.0, 0.3}) {
        const QuantParameters used{parameters.scale * factor, parameters.zero_point};
        const auto fused = fused_fake_quantize(spec, x, used);
        ASSERT_TRUE(fused.has_value());
        EXPECT_TRUE(at::equal(*fused, fake_quantize_composed(spec, x, used)));
        const auto codes = fused_codes(spec, x, used);
        ASSERT_TRUE(codes.has_value());
        EXPECT_TRUE(at::equal(dequantize(spec, *codes, used), *fused));
      }
    }
  }
}

TEST(Fused, FindsScalesAndQuantizesInOneGo) {
  at::manual_seed(5);
  int known = 0;
  const std::vector<int64_t> even{3, 5, 96}, odd{2, 12, 103};
  for (const QuantSpec& spec : specs()) {
    if (std::holds_alternative<StoredMinimum>(spec.zero_point)) continue;
    for (const auto& sizes : {even, odd}) {
      const auto x = hard_tensor(sizes);
      if (!fits(spec, sizes)) continue;
      for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
        expect_found_as_composed(spec, x.to(dtype));
        ++known;
      }
    }
  }
  EXPECT_GT(known, 1500);
}

TEST(Fused, CutsLongRunsIntoPieces) {
  at::manual_seed(6);
  const auto x = hard_tensor({2, 3, 50001});
  const auto symmetric = QuantSpec{}.let(IntFormat{.bit_width = 4});
  const auto asymmetric = QuantSpec{}.let(IntFormat{4, false}, MinMax{}, IntegerZeroPoint{});
  for (const auto& spec : {symmetric, asymmetric}) {
    for (const Granularity& granularity :
         std::vector<Granularity>{PerTensor{}, PerChannel{.axis = 0}, PerChannel{.axis = 1},
                                  PerGroup{.axis = 2, .group_size = 20000, .pad = true}}) {
      expect_found_as_composed(spec.let(granularity), x);
      expect_found_as_composed(spec.let(granularity), x.to(at::kBFloat16));
    }
  }
}

TEST(Fused, GradientsAreThoseOfTheComposedPath) {
  at::manual_seed(7);
  for (const QuantSpec& spec : specs()) {
    const auto x = hard_tensor({3, 4, 96});
    if (!fits(spec, x.sizes())) continue;
    expect_gradient_as_composed(spec, x);
    expect_gradient_as_composed(spec.let(Clipped{}), x);
  }
}

TEST(Fused, GradientsToGivenParametersAreThoseOfTheComposedPath) {
  at::manual_seed(8);
  for (const QuantSpec& spec : specs()) {
    // No huge numbers: their terms cancel in the gradient of the zero point.
    const auto x = at::randn({3, 4, 96});
    if (!fits(spec, x.sizes())) continue;
    expect_given_gradients_as_composed(spec, x);
    expect_given_gradients_as_composed(spec.let(Clipped{}), x);
  }
}

TEST(Fused, ShortGroupsCountAsFilledWithZerosWhateverTheScale) {
  const auto x = at::randn({2, 3, 50}).abs().neg() - 1;
  for (const Restriction& restriction : {Restriction(AnyFloat{}), Restriction(LogFloat{})}) {
    const auto scale = StatisticScale{{MinMax{.include_zero = false}, restriction}};
    expect_found_as_composed(
        QuantSpec{}.let(PerGroup{.axis = 2, .group_size = 48, .pad = true}, Scale(scale)), x);
  }
}

TEST(Fused, TiedExtremesShareTheGradient) {
  const auto x = at::tensor({3.0F, -3.0F, 1.0F, 3.0F}).repeat({8}), weight = at::arange(32.0F);
  for (const auto& spec : {QuantSpec{}.let(IntFormat{.bit_width = 3}),
                           QuantSpec{}.let(IntFormat{3, false}, MinMax{}, FloatZeroPoint{})}) {
    const auto fused = gradients(
        [&](const auto& inputs) { return fake_quantize_dynamic(spec, inputs[0]); }, weight, {x});
    const auto plain = gradients(
        [&](const auto& inputs) {
          return fake_quantize_composed(spec, inputs[0],
                                        parameters_of_range(spec, find_range(spec, inputs[0]), {}));
        },
        weight, {x});
    expect_near(fused[0], plain[0]);
  }
}

TEST(Fused, ASecondDerivativeIsRefused) {
  const auto x = at::randn({4, 32}).set_requires_grad(true);
  const auto value = fake_quantize_dynamic(QuantSpec{}, x);
  expect_error<c10::NotImplementedError>(
      [&] { torch::autograd::grad({value.sum()}, {x}, {}, true, /*create_graph=*/true); },
      {"[quantize]", "second derivative", "fake_quantize_composed"});
}

TEST(Fused, WritesIntoMemoryThatIsGiven) {
  const auto spec = QuantSpec{}.let(IntFormat{.bit_width = 4}, PerGroup{.group_size = 32});
  const auto x = at::randn({4, 64});
  const auto expected = fake_quantize_dynamic(spec, x);
  auto apart = at::zeros({64, 4}).t(), same = x.clone();
  fake_quantize_dynamic_out(spec, x, apart);  // not contiguous
  EXPECT_TRUE(at::equal(apart, expected));
  fake_quantize_dynamic_out(spec, same, same);
  EXPECT_TRUE(at::equal(same, expected));
  expect_error<c10::ValueError>(
      [&] {
        fake_quantize_dynamic_out(spec, x, at::empty({4, 32}));
      },
      {"[quantize]", "memory", "[4, 64]", "[4, 32]"});
  expect_error<c10::ValueError>(
      [&] {
        fake_quantize_dynamic_out(spec, at::full({4, 64}, NAN), apart);
      },
      {"[quantize]", "finite", "256"});
}

TEST(Fused, HalfPrecisionAndStridesChangeNothing) {
  at::manual_seed(3);
  for (const QuantSpec& spec : specs()) {
    for (const auto dtype : {at::kHalf, at::kBFloat16}) {
      const auto x = at::randn({96, 4, 3}).to(dtype).permute({2, 1, 0});
      if (!fits(spec, x.sizes())) continue;
      SCOPED_TRACE(to_string(spec));
      const auto parameters = find_parameters(spec, x);
      EXPECT_TRUE(at::equal(fake_quantize(spec, x, parameters),
                            fake_quantize_composed(spec, x, parameters)));
    }
  }
}

TEST(Fused, LeavesNaNAndInfinityToTheComposedPathWhichKeepsThem) {
  auto x = at::ones({2, 40});
  x[0][3] = std::numeric_limits<float>::quiet_NaN();
  x[1][35] = -std::numeric_limits<float>::infinity();
  for (const QuantSpec& spec :
       {QuantSpec{}, QuantSpec{}.let(PerChannel{.axis = 0}), QuantSpec{}.let(PerToken{})}) {
    const auto ones = at::ones(scale_shape(x.sizes(), spec.granularity));
    EXPECT_FALSE(fused_fake_quantize(spec, x, {ones, ones}).has_value());
    EXPECT_FALSE(fused_quantize(spec, x).has_value());
    const auto value = fake_quantize(spec, x, {ones, ones});
    EXPECT_TRUE(value.isnan()[0][3].item<bool>());
    EXPECT_TRUE(value.isnan()[1][35].item<bool>()) << "a clamped infinity would be a number";
    EXPECT_EQ(value.isnan().sum().item<int64_t>(), 2);
  }
}

TEST(Fused, LeavesToTheComposedPathWhatItDoesNotKnow) {
  const auto x = at::randn({4, 32});
  const auto is_left = [&](const QuantSpec& spec, const at::Tensor& input) {
    return !fused_fake_quantize(spec, input, find_parameters(spec, input.detach())).has_value();
  };
  EXPECT_FALSE(is_left(QuantSpec{}, x));
  EXPECT_TRUE(is_left(QuantSpec{}.let(Floor{}), x));
  EXPECT_TRUE(is_left(QuantSpec{}.let(PerGroup{.axis = -1, .group_size = 8}), x));
  EXPECT_TRUE(is_left(QuantSpec{}.let(PerGroup{.axis = 0, .group_size = 1}), x));
  EXPECT_TRUE(is_left(QuantSpec{}, x.to(at::kDouble)));
  EXPECT_FALSE(fused_quantize(QuantSpec{}.let(Percentile{}), x).has_value());
}

TEST(Fused, SquaredErrorsAreThoseOfTheComposedPath) {
  at::manual_seed(4);
  for (const int64_t columns : {1, 7, 1024, 40000}) {
    const auto rows = at::randn({3, columns}), importance = at::rand({3, columns});
    for (const auto& spec : {QuantSpec{}.let(IntFormat{.bit_width = 4}),
                             QuantSpec{}.let(IntFormat{4, false}, MinMax{}, IntegerZeroPoint{})}) {
      const auto per_row = spec.let(PerChannel{.axis = 0});
      const auto found = find_parameters(per_row, rows);
      // Two candidates of every scale.
      const auto pair = [](const at::Tensor& x, double factor) {
        const auto flat = x.flatten();
        return at::stack({flat, flat * factor});
      };
      const bool has_zero = found.zero_point.defined();
      const QuantParameters both{pair(found.scale, 0.7),
                                 has_zero ? pair(found.zero_point, 1) : at::Tensor()};
      for (const at::Tensor& weight : {at::Tensor(), importance}) {
        const auto fused = fused_squared_error(spec, rows, weight, both);
        ASSERT_TRUE(fused.has_value());
        ASSERT_EQ(fused->sizes(), at::IntArrayRef({2, 3}));
        for (int64_t i = 0; i < 2; ++i) {
          const QuantParameters one{both.scale[i].unsqueeze(1),
                                    has_zero ? both.zero_point[i].unsqueeze(1) : at::Tensor()};
          auto error = (fake_quantize_composed(per_row, rows, one) - rows).to(at::kDouble).square();
          if (weight.defined()) error = error * weight;
          // Products in float32, sums of 1024 of them: a relative error of a few 1e-7.
          EXPECT_TRUE(at::allclose((*fused)[i].to(at::kDouble), error.sum(1), 1e-6, 1e-12));
        }
      }
    }
  }
}

TEST(Fused, ThreadsDoNotChangeAnything) {
  const auto x = at::randn({1000, 1000});
  const auto spec = QuantSpec{}.let(IntFormat{.bit_width = 3}, Mse{.grid_points = 5});
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = find_parameters(spec, x);
  const auto value = fake_quantize(spec, x, one);
  at::set_num_threads(2);
  const auto two = find_parameters(spec, x);
  EXPECT_TRUE(at::equal(one.scale, two.scale));
  EXPECT_TRUE(at::equal(value, fake_quantize(spec, x, two)));
  at::set_num_threads(threads);
}

}  // namespace
}  // namespace laconic
