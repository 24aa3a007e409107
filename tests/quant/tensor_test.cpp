// Arithmetic of quantized tensors against that of their codes in whole numbers.
#include <torch/torch.h>

#include <cmath>

#include "laconic/quant/tensor/bias.h"
#include "laconic/quant/tensor/elementwise.h"
#include "laconic/quant/tensor/operands.h"
#include "laconic/quant/tensor/pool.h"
#include "laconic/quant/tensor/product.h"
#include "laconic/quant/tensor/shape.h"
#include "laconic/quant/tensor/truncate.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

/// Random codes of a format, all of them, with a scale that float32 multiplies exactly.
QuantTensor random_tensor(at::IntArrayRef sizes, const IntFormat& format, double zero_point = 0) {
  const auto [low, high] = wide_code_range(format);
  const auto codes = at::randint(low, high + 1, sizes, at::kFloat);
  const auto scale = at::full({}, 0.125);
  const auto zero = zero_point == 0 ? at::Tensor() : at::full({}, zero_point);
  return integer_tensor((codes - zero_point) * scale, scale, zero, format);
}

at::Tensor wide(const QuantTensor& tensor) { return codes_of(tensor).to(at::kDouble); }

/// The codes are valid, the value is theirs, and they are the expected ones.
void expect_codes(const QuantTensor& got, const at::Tensor& want) {
  EXPECT_TRUE(is_valid(got));
  EXPECT_TRUE(at::equal(wide(got), want.to(at::kDouble)));
  const auto zero = got.zero_point.defined() ? got.zero_point.to(at::kDouble) : at::zeros({});
  const at::Tensor value = (want - zero) * got.scale.to(at::kDouble);
  // A sum of products may cancel to less than the last place of its terms.
  const double last_place = value.numel() > 0 ? 1e-6 * value.abs().max().item<double>() : 0;
  EXPECT_TRUE(at::allclose(got.value.to(at::kDouble), value, 1e-5, last_place));
}

const IntFormat kFormats[] = {
    {8, true, false}, {8, false, false}, {4, true, true}, {2, true, false}, {3, false, false}};

TEST(TensorArithmetic, SumsDifferencesAndProductsAreThoseOfTheCodesForAllPairsOfFormats) {
  at::manual_seed(1);
  for (const IntFormat& left : kFormats) {
    for (const IntFormat& right : kFormats) {
      for (const double zero_point : {0.0, 3.0}) {
        const auto a = random_tensor({40, 50}, left, zero_point);
        const auto b = random_tensor({50}, right, zero_point);
        expect_codes(add(a, b), wide(a) + wide(b));
        if (!right.is_signed || right.narrow_range) expect_codes(subtract(a, b), wide(a) - wide(b));
        if (zero_point == 0) expect_codes(multiply(a, b), wide(a) * wide(b));
      }
    }
  }
}

TEST(TensorArithmetic, APlainTermMovesTheZeroPointAndKeepsTheCodes) {
  const auto a = random_tensor({4, 6}, {8, true, false});
  const auto sum = add(a, at::randn({6}));
  EXPECT_TRUE(at::equal(wide(sum), wide(a)));
  EXPECT_TRUE(is_valid(sum));
}

TEST(TensorArithmetic, NegativesOfNarrowAndUnsignedTensorsAreValid) {
  const auto narrow = random_tensor({400}, {4, true, true}),
             whole = random_tensor({400}, {4, false, false});
  expect_codes(negate(narrow), -wide(narrow));
  expect_codes(negate(whole), -wide(whole));
  expect_codes(absolute(narrow), wide(narrow).abs());
  const auto full = random_tensor({4000}, {4, true, false});
  EXPECT_FALSE(is_valid(negate(full)));  // 8 is no code of 4 bits
}

TEST(TensorProducts, AreThoseOfTheCodesInTheAccumulatorsWidth) {
  at::manual_seed(2);
  for (const IntFormat& left : kFormats) {
    for (const IntFormat& right : kFormats) {
      const auto a = random_tensor({3, 5, 33}, left), b = random_tensor({3, 33, 4}, right);
      expect_codes(matmul(a, b), at::matmul(wide(a), wide(b)));
      const auto weight = random_tensor({7, 33}, right);
      const auto y = linear(a, weight);
      expect_codes(y, at::matmul(wide(a), wide(weight).t()));
      const double largest =
          (std::exp2(left.bit_width) - 1) * (std::exp2(right.bit_width) - 1) * 33;
      EXPECT_EQ(std::get<IntFormat>(y.format).bit_width, std::ceil(std::log2(largest)));
    }
  }
}

TEST(TensorProducts, CombineTokenAndChannelScales) {
  at::manual_seed(3);
  const auto x = at::randn({6, 32}), w = at::randn({5, 32});
  const auto tokens = quantize(QuantSpec{}.let(PerToken{}), x);
  const auto channels = quantize(QuantSpec{}.let(PerChannel{.axis = 0}), w);
  const auto y = linear(tokens, channels);
  EXPECT_EQ(y.scale.sizes(), at::IntArrayRef({6, 5}));
  expect_codes(y, at::matmul(wide(tokens), wide(channels).t()));
  const auto transposed = transpose(y, 0, 1);
  EXPECT_TRUE(at::equal(wide(transposed), wide(y).t()));
  const auto per_channel = linear(quantize(QuantSpec{}, x), channels);
  EXPECT_EQ(per_channel.granularity, Granularity(PerChannel{1}));
}

TEST(TensorProducts, ConvolutionsOfOneToThreeDimensionsWithGroupsStridesAndTransposed) {
  at::manual_seed(4);
  const std::vector<int64_t> image = {8, 7, 6};
  for (size_t dims = 1; dims <= 3; ++dims) {
    for (const bool is_transposed : {false, true}) {
      for (const int64_t groups : {1, 2}) {
        std::vector<int64_t> x_sizes = {2, 4}, w_sizes = {is_transposed ? 4 : 6, 0};
        w_sizes[1] = (is_transposed ? 6 : 4) / groups;
        x_sizes.insert(x_sizes.end(), image.begin(), image.begin() + dims);
        w_sizes.insert(w_sizes.end(), dims, 3);
        const auto x = random_tensor(x_sizes, {4, false, false});
        const auto w = random_tensor(w_sizes, {4, true, false});
        const ConvolutionOptions options{
            .stride = {2}, .padding = {1}, .groups = groups, .is_transposed = is_transposed};
        const std::vector<int64_t> two(dims, 2), one(dims, 1), none(dims, 0);
        const auto want =
            at::convolution(wide(x), wide(w), {}, two, one, one, is_transposed, none, groups);
        expect_codes(convolution(x, w, options), want);
      }
    }
  }
}

TEST(TensorProducts, ABiasHasTheScaleOfTheProductsAndItsCodesAddUp) {
  at::manual_seed(5);
  const auto x = quantize(QuantSpec{}, at::randn({6, 32}));
  const auto w = quantize(QuantSpec{}.let(PerChannel{.axis = 0}), at::randn({5, 32}));
  for (const int64_t bits : {2, 8, 16, 24, 32}) {
    const auto bias = quantize_bias({.format = {bits, true, false}}, at::randn({5}) * 0.01, x, w);
    EXPECT_TRUE(at::equal(bias.scale, x.scale * w.scale.flatten()));
    const auto y = linear(x, w);
    expect_codes(add_bias(y, bias, -1), wide(y) + wide(bias));
  }
  // Clamped to the largest code, as near as float32 holds it.
  const auto large = quantize_bias({}, at::full({5}, 1e9), x, w);
  EXPECT_EQ(codes_of(large).scalar_type(), at::kInt);
  EXPECT_TRUE(codes_of(large).ge(2147483000).all().item<bool>());
  const auto plain = add_bias(linear(x, w), at::randn({5}), -1);
  EXPECT_TRUE(at::equal(wide(plain), wide(linear(x, w))));
}

TEST(TensorProducts, CarryTheGradientToOperandsAndScales) {
  const auto x = at::randn({6, 8}).set_requires_grad(true),
             w = at::randn({5, 8}).set_requires_grad(true);
  const auto bias = at::randn({5}).set_requires_grad(true);
  const auto qx = quantize(QuantSpec{}, x),
             qw = quantize(QuantSpec{}.let(PerChannel{.axis = 0}), w);
  add_bias(linear(qx, qw), quantize_bias({}, bias, qx, qw), -1).value.sum().backward();
  for (const auto& leaf : {x, w, bias}) EXPECT_TRUE(leaf.grad().ne(0).any().item<bool>());
}

TEST(TensorShapes, ScalesFollowTheirElements) {
  at::manual_seed(6);
  const auto x = at::randn({2, 3, 4, 8});
  const auto spec = QuantSpec{}.let(IntFormat{.bit_width = 8, .is_signed = false}, MinMax{},
                                    IntegerZeroPoint{}, PerChannel{.axis = 1});
  const auto q = quantize(spec, x);
  const auto expect_moved = [&](const QuantTensor& got, const at::Tensor& want) {
    EXPECT_TRUE(at::equal(codes_of(got), want));
    EXPECT_TRUE(is_valid(got));
  };
  const auto codes = codes_of(q);
  expect_moved(reshape(q, {2, 3, 32}), codes.reshape({2, 3, 32}));
  expect_moved(flatten(q, 2, 3), codes.flatten(2, 3));
  expect_moved(permute(q, {1, 3, 0, 2}), codes.permute({1, 3, 0, 2}));
  expect_moved(narrow(q, 1, 1, 2), codes.narrow(1, 1, 2));
  expect_moved(narrow(q, -1, 3, 4), codes.narrow(-1, 3, 4));
  expect_moved(select(q, 1, 2), codes.select(1, 2));
  expect_moved(select(q, 0, 1), codes.select(0, 1));
  expect_moved(select(q, 2, 1), codes.select(2, 1));
  expect_moved(concatenate({q, q}, 1), at::cat({codes, codes}, 1));
  expect_moved(concatenate({q, q}, 2), at::cat({codes, codes}, 2));
  expect_moved(upsample_nearest(q, 2), codes.repeat_interleave(2, 2).repeat_interleave(2, 3));
  expect_moved(max_pool2d(q, {}), torch::max_pool2d(codes.to(at::kFloat), 2).to(at::kByte));
  EXPECT_EQ(pad(q, {1, 2}).value.size(-1), 11);
  EXPECT_TRUE(is_valid(pad(q, {1, 2, 1, 0})));
  const auto grouped = quantize(spec.let(PerGroup{.axis = 3, .group_size = 4}), x);
  expect_moved(narrow(grouped, 3, 4, 4), codes_of(grouped).narrow(3, 4, 4));
  expect_moved(narrow(grouped, 0, 1, 1), codes_of(grouped).narrow(0, 1, 1));
  const auto one = quantize(spec.let(PerTensor{}), x);
  expect_moved(pixel_shuffle(reshape(one, {2, 12, 4, 2}), 2),
               at::pixel_shuffle(codes_of(one).reshape({2, 12, 4, 2}), 2));
}

TEST(TensorPools, AMeanIsTheSumOfCodesInSmallerSteps) {
  at::manual_seed(7);
  for (const IntFormat& format : kFormats) {
    for (const double zero_point : {0.0, 2.0}) {
      const auto a = random_tensor({2, 3, 6, 6}, format, zero_point);
      const auto sum = torch::avg_pool2d(wide(a), 3) * 9;
      expect_codes(average_pool2d(a, {.size = 3}), sum.round());
      expect_codes(adaptive_average_pool2d(a, 2, 2), sum.round());
    }
  }
}

TEST(Truncation, IsAShiftOfTheCodes) {
  at::manual_seed(8);
  for (const bool is_signed : {false, true}) {
    const auto a = random_tensor({100, 100}, {12, is_signed, false});
    const auto codes = wide(a);
    expect_codes(truncate({.bit_width = 8}, a), (codes / 16).floor());
    const auto high = is_signed ? 127 : 255, low = is_signed ? -128 : 0;
    expect_codes(truncate({.bit_width = 8, .rounding = HalfEven{}}, a),
                 (codes / 16).round().clamp(low, high));
    expect_codes(truncate({.bit_width = 8, .rounding = HalfEven{}, .shift = 2}, a),
                 (codes / 4).round().clamp(low, high));
  }
}

TEST(Truncation, AShiftFromStatisticsFitsThem) {
  const auto scale = at::full({}, 0.5);
  const auto a =
      integer_tensor(at::tensor({100.0, -700.0, 3.0}) * 0.5, scale, {}, {16, true, false});
  const Truncation eight{.bit_width = 8};
  EXPECT_EQ(shift_for(eight, a, AbsMax{}), 3);  // 700 <= 1024 = 2^7 * 2^3
  EXPECT_EQ(shift_for({.bit_width = 15}, a, AbsMax{}), 0);
  EXPECT_EQ(shift_for({.bit_width = 2}, a, AbsMax{}), 9);
}

TEST(TensorArithmetic, SaysWhyItCannot) {
  const auto a = random_tensor({4, 8}, {8, true, false});
  auto other = a;
  other.scale = a.scale * 2;
  expect_error<c10::ValueError>([&] { add(a, other); }, {"[add]", "scales", "0.125", "0.25"});
  expect_error<c10::ValueError>(
      [&] {
        multiply(a, random_tensor({4, 8}, {8, true, false}, 2));
      },
      {"[multiply]", "zero point"});
  const auto x = at::randn({4, 8});
  const auto grouped = quantize(QuantSpec{}.let(PerGroup{.axis = 1, .group_size = 4}), x);
  expect_error<c10::NotImplementedError>([&] { add(grouped, grouped); }, {"[add]", "groups"});
  expect_error<c10::NotImplementedError>([&] { linear(a, grouped); }, {"[linear]", "groups"});
  const auto columns = quantize(QuantSpec{}.let(PerChannel{.axis = 1}), x);
  expect_error<c10::NotImplementedError>([&] { linear(a, columns); },
                                         {"[linear]", "dimension 1", "summed"});
  expect_error<c10::NotImplementedError>([&] { narrow(grouped, 1, 1, 4); }, {"whole groups of 4"});
  expect_error<c10::NotImplementedError>(
      [&] {
        reshape(columns, {8, 4});
      },
      {"[reshape]", "axis 1"});
  expect_error<c10::NotImplementedError>([&] { pad(columns, {1, 1}); }, {"[pad]", "channels"});
  expect_error<c10::NotImplementedError>(
      [] {
        adaptive_average_pool2d(random_tensor({1, 1, 5, 5}, {8, true, false}), 2, 2);
      },
      {"5 x 5", "2 x 2"});
  expect_error<c10::ValueError>([&] { truncate({.bit_width = 9}, a); }, {"[truncate]", "8"});
  expect_error<c10::ValueError>([&] { quantize_bias({}, at::ones({3}), columns, columns); },
                                {"[bias]", "input scale"});
  const auto square = quantize(QuantSpec{}.let(PerChannel{.axis = 1}), at::randn({8, 8}));
  const auto one = quantize(QuantSpec{}, x);
  expect_error<c10::ValueError>([&] { quantize_bias({}, at::ones({8}), one, square); },
                                {"[bias]", "each output, [8, 1]", "[1, 8]", "axis 0"});
  for (const int64_t bits : {1, 33})
    expect_error<c10::ValueError>(
        [&] {
          quantize_bias({.format = {bits, true, false}}, at::ones({8}), one, one);
        },
        {"[bias]", "2 to 32", std::to_string(bits)});
  expect_error<c10::ValueError>([&] { concatenate({a, grouped}, 0); }, {"[concatenate]"});
}

}  // namespace
}  // namespace laconic
