// Gradients through scales of scales and through zero points, in one look at memory, against the
// composed path.
#include <ATen/Parallel.h>

#include "laconic/kernel/fused/fused.h"
#include "laconic/quant/quantizer/block_formats.h"
#include "tests/quant/fused_cases.h"

namespace laconic {
namespace {

using namespace laconic::testing;

/// Scales that are numbers of a format under one scale, and zero points of all kinds.
std::vector<QuantSpec> chains() {
  const auto by = [](const QuantSpec& scales) { return Restriction(QuantizedBy{scales}); };
  const auto eights = QuantSpec{}.let(IntFormat{.bit_width = 8, .is_signed = false});
  const auto plain = QuantSpec{}.let(PerGroup{.axis = -1, .group_size = 32});
  const auto all_codes = plain.let(IntFormat{4, false}, MinMax{});
  return {nvfp4(),
          nvfp4().let(PerToken{}),
          plain.let(e2m1(), by(QuantSpec{}.let(e4m3(), Clipped{}))),
          plain.let(IntFormat{.bit_width = 4}, by(eights)),
          plain.let(IntFormat{.bit_width = 3}, by(eights.let(Threshold::kPowerOfTwo)), Clipped{}),
          all_codes.let(IntegerZeroPoint{}),
          all_codes.let(IntegerZeroPoint{}, Clipped{}),
          all_codes.let(FloatZeroPoint{}),
          all_codes.let(FloatZeroPoint{}, PowerOfTwo{}),
          all_codes.let(PerToken{}, IntegerZeroPoint{}, StoredAs{}),
          all_codes.let(MinMax{.include_zero = false}, IntegerZeroPoint{}),
          plain.let(IntFormat{.bit_width = 4}, MinMax{})};
}

/// Elements of both signs, of one, none at all; the largest twice in a group and in two groups.
at::Tensor hard_groups() {
  auto x = at::randn({8, 96});
  x[1].abs_();
  x[2].abs_().neg_();
  x[3].zero_();
  x[4].fill_(-0.75);
  x[5].slice(0, 0, 32).zero_();
  x[6][3] = 7, x[6][9] = -7, x[7][50] = 7;
  return x;
}

struct BothGradients {
  at::Tensor fused, plain;
};

/// Of `x` as it is, and of the same numbers as float32 by the composed path.
BothGradients both_gradients(const QuantSpec& spec, const at::Tensor& x, const at::Tensor& weight) {
  const auto real = x.to(at::kFloat);
  const auto fused = [&](const auto& in) { return fused_dynamic(spec, in[0]).value(); };
  const auto plain = [&](const auto& in) {
    const auto shape = scale_shape(x.sizes(), spec.granularity);
    const auto found = parameters_of_range(spec, find_range(spec, in[0]), shape);
    return fake_quantize_composed(spec, in[0], found);
  };
  return {gradients(fused, weight, {x})[0], gradients(plain, weight.to(at::kFloat), {real})[0]};
}

TEST(FusedChains, GradientsAreThoseOfTheComposedPath) {
  at::manual_seed(1);
  for (const QuantSpec& spec : chains()) {
    SCOPED_TRACE(to_string(spec));
    for (const auto& x : {hard_groups(), at::randn({8, 96}) * 1e-3, at::zeros({8, 96})}) {
      const auto both = both_gradients(spec, x, at::randn(x.sizes()));
      expect_near(both.fused, both.plain);
    }
  }
}

TEST(FusedChains, GradientsOfBfloat16AreRoundedOnce) {
  at::manual_seed(2);
  for (const QuantSpec& spec : chains()) {
    SCOPED_TRACE(to_string(spec));
    const auto x = hard_groups().to(at::kBFloat16), weight = at::randn(x.sizes()).to(x.dtype());
    const auto both = both_gradients(spec, x, weight);
    ASSERT_EQ(both.fused.scalar_type(), at::kBFloat16);
    // Half a step of bfloat16, beside the sums in another order.
    const double size = both.plain.abs().max().item<double>();
    EXPECT_TRUE(at::allclose(both.fused.to(at::kFloat), both.plain, 0x1p-8, 1e-5 * size));
  }
}

TEST(FusedChains, TheLargestScalesShareWhatHangsOnThem) {
  // Two groups of 16 have the largest scale, each through one element.
  auto x = at::rand({4, 16});
  x[0][3] = 2, x[2][5] = -2;
  const auto both = both_gradients(nvfp4(), x, at::ones_like(x));
  expect_near(both.fused, both.plain);
  const auto own =
      both_gradients(mx(e2m1()).let(PerGroup{.axis = -1, .group_size = 16}), x, at::ones_like(x));
  EXPECT_GT((both.fused[0][3] - own.fused[0][3]).abs().item<double>(), 1e-3);
  EXPECT_GT((both.fused[2][5] - own.fused[2][5]).abs().item<double>(), 1e-3);
}

TEST(FusedChains, LargeTensorsGiveTheSameWhateverTheThreads) {
  at::manual_seed(3);
  const auto x = at::randn({512, 512}), weight = at::randn({512, 512});
  const int threads = at::get_num_threads();
  for (const QuantSpec& spec : {nvfp4(), chains()[5]}) {
    at::set_num_threads(1);
    const auto one = both_gradients(spec, x, weight);
    at::set_num_threads(2);
    const auto two = both_gradients(spec, x, weight);
    at::set_num_threads(threads);
    expect_near(one.fused, one.plain);
    EXPECT_TRUE(at::equal(one.fused, two.fused));
  }
}

TEST(FusedChains, NothingHasNoGradient) {
  const auto nothing = at::empty({0, 16}).set_requires_grad(true);
  EXPECT_FALSE(fused_dynamic(nvfp4(), nothing).has_value()) << "left to the composed path";
}

TEST(FusedChains, OneLookIsKnownWhereRunsHaveNumbersOfTheirOwn) {
  const auto x = at::randn({8, 96});
  for (const QuantSpec& spec : chains()) {
    const auto call = fused_call(spec, x);
    ASSERT_TRUE(call && call->rule);
    EXPECT_TRUE(kernel::knows_found_gradient(x, call->runs, *call->rule, call->codes));
  }
  const auto shared = fused_call(chains()[5].let(PerTensor{}), at::randn({200, 200}));
  EXPECT_FALSE(kernel::knows_found_gradient(x, shared->runs, *shared->rule));
}

}  // namespace
}  // namespace laconic
