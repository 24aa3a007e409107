#include "laconic/quant/format/format.h"

#include <cmath>
#include <limits>
#include <set>

#include "laconic/kernel/pack.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

bool is_possible(const Format& format) {
  try {
    check_format(format);
    return true;
  } catch (const c10::ValueError&) {
    return false;
  }
}

void add_integers(std::vector<Format>& formats) {
  for (int64_t bits = 1; bits <= 16; ++bits) {
    for (const bool is_signed : {false, true}) {
      for (const bool narrow : {false, true})
        formats.emplace_back(IntFormat{bits, is_signed, narrow});
    }
  }
}

void add_minifloats(std::vector<Format>& formats) {
  for (int64_t exponent = 1; exponent <= 8; ++exponent) {
    for (int64_t mantissa = 0; exponent + mantissa <= 16; ++mantissa) {
      for (const auto specials : {FloatSpecials::kNone, FloatSpecials::kNan, FloatSpecials::kIeee,
                                  FloatSpecials::kNegativeZero}) {
        for (const bool is_signed : {false, true}) {
          // Of the wide ones a few are enough to see every kind of code.
          const bool is_rare = specials == FloatSpecials::kNan || !is_signed || exponent % 3 != 2;
          if (exponent + mantissa > 10 && is_rare) continue;
          formats.emplace_back(MinifloatFormat{.exponent_bits = exponent,
                                               .mantissa_bits = mantissa,
                                               .exponent_bias = {},
                                               .specials = specials,
                                               .is_signed = is_signed});
        }
      }
    }
  }
  formats.emplace_back(
      MinifloatFormat{.exponent_bits = 3, .mantissa_bits = 1, .exponent_bias = -4});
  formats.emplace_back(
      MinifloatFormat{.exponent_bits = 2, .mantissa_bits = 2, .exponent_bias = 40});
}

/// Some of every kind whose codes are numbers alone, of all widths up to 16 bits.
std::vector<Format> every_format() {
  std::vector<Format> formats = {BinaryFormat{}, TernaryFormat{}};
  add_integers(formats);
  add_minifloats(formats);
  for (int64_t bits = 2; bits <= 8; ++bits) {
    for (int64_t terms = 1; terms < bits; ++terms) {
      for (const int64_t root : {1, 2}) formats.emplace_back(PowerSumFormat{bits, terms, root});
    }
  }
  for (const auto& [name, format] : named_formats()) formats.push_back(format);
  formats.emplace_back(TableFormat{{3, -7.5, 0.25}});
  std::erase_if(formats,
                [](const Format& format) { return !is_possible(format) || is_joint(format); });
  return formats;
}

ElementRule rule_of(const Format& format, at::ScalarType dtype = at::kFloat) {
  const auto [low, high] = element_range(format);
  return {{at::full({}, low, dtype), at::full({}, high, dtype)}};
}

at::Tensor all_codes(const Format& format) {
  const auto [low, high] = code_range(format);
  return at::arange(low, high + 1, at::kInt);
}

TEST(EveryFormat, HasEveryCodeOnceAndRoundTripsIt) {
  const auto formats = every_format();
  ASSERT_GT(formats.size(), 300u);
  for (const Format& format : formats) {
    SCOPED_TRACE(describe(format));
    const auto codes = all_codes(format);
    const auto elements = decode(format, codes, at::kDouble);
    EXPECT_EQ(static_cast<int64_t>(values(format).size()), codes.numel());
    const auto back = encode(format, elements);
    EXPECT_EQ(back.scalar_type(), stored_bits(format) > 8      ? at::kInt
                                  : has_negative_codes(format) ? at::kChar
                                                               : at::kByte);
    // All NaN are one.
    EXPECT_TRUE(back.eq(codes).logical_or(elements.isnan()).all().item<bool>());
    EXPECT_TRUE(decode(format, back, at::kDouble).isnan().equal(elements.isnan()));
    const auto finite = elements.masked_select(elements.isfinite());
    EXPECT_EQ(finite.min().item<double>(), element_range(format).low);
    EXPECT_EQ(finite.max().item<double>(), element_range(format).high);
  }
}

TEST(EveryFormat, PacksItsCodesIntoItsBits) {
  for (const Format& format : every_format()) {
    SCOPED_TRACE(describe(format));
    const int64_t bits = stored_bits(format);
    const auto codes = all_codes(format).unsqueeze(0);
    const auto unsigned_codes = codes.bitwise_and((int64_t{1} << bits) - 1);
    const auto packed = pack_rows(codes, bits);
    EXPECT_EQ(packed.numel(), (codes.numel() * bits + 7) / 8);
    EXPECT_TRUE(unpack_rows(packed, bits, codes.numel()).equal(unsigned_codes));
  }
}

TEST(EveryFormat, KeepsItsNumbersAndFindsTheNearestOfOthers) {
  at::manual_seed(1);
  for (const Format& format : every_format()) {
    SCOPED_TRACE(describe(format));
    const auto rule = rule_of(format, at::kDouble);
    const auto elements = decode(format, all_codes(format), at::kDouble);
    const auto finite = elements.masked_select(elements.isfinite());
    EXPECT_TRUE(elements_of_real(format, finite, rule).equal(finite));
    const auto real = at::randn({200}, at::kDouble) * (element_range(format).high / 2);
    const auto found = elements_of_real(format, real, rule);
    const auto sorted = std::get<0>(finite.sort());
    const auto place = at::searchsorted(sorted, real).clamp(1, sorted.numel() - 1);
    const auto low = (real - sorted.index({place - 1})).abs();
    const auto high = (real - sorted.index({place})).abs();
    EXPECT_TRUE((real - found).abs().equal(at::minimum(low, high)));
  }
}

TEST(EveryFormat, LetsNaNThroughAndClampsInfinity) {
  const double infinity = std::numeric_limits<double>::infinity();
  const auto x = at::tensor({std::nan(""), infinity, -infinity});
  for (const Format& format : every_format()) {
    SCOPED_TRACE(describe(format));
    const auto y = elements_of_real(format, x, rule_of(format)).to(at::kDouble);
    EXPECT_TRUE(y[0].isnan().item<bool>());
    EXPECT_EQ(y[1].item<double>(), element_range(format).high);
    EXPECT_EQ(y[2].item<double>(), element_range(format).low);
  }
}

TEST(EveryFormat, PassesTheGradientInsideAndTheClippedOneOutside) {
  for (const Format& format : every_format()) {
    SCOPED_TRACE(describe(format));
    auto rule = rule_of(format);
    const auto [low, high] = element_range(format);
    const double end = high > 0 ? high : low;  // int1 has -1 and 0
    for (const Gradient& gradient : {Gradient(StraightThrough{}), Gradient(Clipped{})}) {
      rule.gradient = gradient;
      const auto x = at::tensor({0.6 * end, 3.1 * end}).set_requires_grad(true);
      elements_of_real(format, x, rule).sum().backward();
      // The step of a float grows with it, by up to half of it without mantissa.
      const double reach = std::holds_alternative<MinifloatFormat>(format) ? 0.5 : 1e-6;
      EXPECT_NEAR(x.grad()[0].item<double>(), 1, reach);
      const bool clips = std::holds_alternative<Clipped>(gradient);
      EXPECT_NEAR(x.grad()[1].item<double>(), clips ? 0 : 1, clips ? 0 : reach);
    }
  }
}

TEST(Minifloat, HasTheNumbersOfTheStandards) {
  EXPECT_EQ(limits(e4m3()).largest, 448);
  EXPECT_EQ(limits(e5m2()).largest, 57344);
  EXPECT_EQ(limits(e3m2()).largest, 28);
  EXPECT_EQ(limits(e2m3()).largest, 7.5);
  EXPECT_EQ(limits(e4m3_fnuz()).largest, 240);
  EXPECT_EQ(limits(e5m2_fnuz()).largest, 57344);
  EXPECT_EQ(limits(e8m0()).largest, 0x1p127);
  EXPECT_EQ(limits(e8m0()).smallest, 0x1p-127);
  EXPECT_EQ(values(e2m1()),
            (std::vector<double>{0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6}));
  const auto e4 = values(e4m3());
  EXPECT_EQ(std::count_if(e4.begin(), e4.end(), [](double x) { return std::isnan(x); }), 2);
}

TEST(Minifloat, RoundsTiesToTheEvenCodeAndEveryRoundingItsWay) {
  auto rule = rule_of(e2m1());
  const auto rounded = [&](const Rounding& rounding, double x) {
    rule.rounding = rounding;
    return elements_of_real(e2m1(), at::full({}, x), rule).item<double>();
  };
  EXPECT_EQ(rounded(HalfEven{}, 0.25), 0);
  EXPECT_EQ(rounded(HalfEven{}, 2.5), 2);
  EXPECT_EQ(rounded(HalfEven{}, -3.5), -4);
  EXPECT_EQ(rounded(HalfEven{}, 5), 4);
  EXPECT_EQ(rounded(Floor{}, 2.9), 2);
  EXPECT_EQ(rounded(Ceil{}, 2.1), 3);
  EXPECT_EQ(rounded(TowardZero{}, -5.9), -4);
}

TEST(Minifloat, HasTheGradientOfItsGrowingStep) {
  const auto x = at::tensor({0.4, 2.4, -2.4, 5.5}).set_requires_grad(true);
  const auto y = elements_of_real(e2m1(), x, rule_of(e2m1()));
  y.sum().backward();
  EXPECT_TRUE(at::allclose(x.grad(), at::tensor({1.0, 2 / 2.4, 2 / 2.4, 6 / 5.5})));
}

TEST(Minifloat, BecomesInfinityOrNaNWhereItDoesNotSaturate) {
  const auto last = [](MinifloatFormat format, double x) {
    format.saturating = false;
    return elements_of_real(format, at::full({}, x), rule_of(format)).item<double>();
  };
  EXPECT_EQ(last(e5m2(), 61439), 57344);
  EXPECT_EQ(last(e5m2(), 61440), std::numeric_limits<double>::infinity());
  EXPECT_EQ(last(e5m2(), -1e9), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(last(e4m3(), 464), 448);
  EXPECT_TRUE(std::isnan(last(e4m3(), 464.1)));
  EXPECT_TRUE(std::isnan(last(e4m3_fnuz(), -1000)));
}

TEST(Table, RoundsTiesToTheEvenPlaceAndEveryRoundingItsWay) {
  const Format table = TableFormat{{4, -1, 0, 2, 1}};
  auto rule = rule_of(table);
  const auto rounded = [&](const Rounding& rounding, double x) {
    rule.rounding = rounding;
    return elements_of_real(table, at::full({}, x), rule).item<double>();
  };
  EXPECT_EQ(rounded(HalfEven{}, 0.5), 0);
  EXPECT_EQ(rounded(HalfEven{}, 1.5), 2);
  EXPECT_EQ(rounded(HalfEven{}, 3), 2);
  EXPECT_EQ(rounded(HalfEven{}, -0.5), 0);
  EXPECT_EQ(rounded(Floor{}, 3.9), 2);
  EXPECT_EQ(rounded(Ceil{}, 2.1), 4);
  EXPECT_EQ(rounded(TowardZero{}, -0.9), 0);
  EXPECT_TRUE(encode(table, at::tensor({4.0, 0.0, 1.0})).equal(at::tensor({0, 2, 4}, at::kByte)));
}

TEST(Table, HasTheNumbersOfThePapers) {
  const auto nf = values(nf4());
  EXPECT_NEAR(nf[1], -.696193, 1e-6);
  EXPECT_NEAR(nf[8], .07958, 1e-6);
  const auto roots = values(PowerSumFormat{.bit_width = 4, .terms = 1, .root = 2});
  for (size_t i = 1; i + 1 < 8; ++i) EXPECT_NEAR(roots[i + 1] / roots[i], std::sqrt(2.0), 1e-12);
  // APoT of 5 bits: sums of {0, 1, 1/4, 1/16} and {0, 1/2, 1/8, 1/32}.
  const auto sums = values(PowerSumFormat{.bit_width = 5, .terms = 2, .root = 1});
  EXPECT_EQ(sums.size(), 32u);
  EXPECT_NEAR(sums[1], (1.0 / 32) / 1.5, 1e-12);
  EXPECT_NEAR(sums[14], (1 + 1.0 / 8) / 1.5, 1e-12);
}

TEST(Sign, MakesZeroOneAndTernaryKeepsItsThreshold) {
  const auto x = at::tensor({-0.5, -0.0, 0.0, 0.2, 0.51});
  EXPECT_TRUE(elements_of_real(BinaryFormat{}, x, rule_of(BinaryFormat{}))
                  .equal(at::tensor({-1.0, 1.0, 1.0, 1.0, 1.0})));
  EXPECT_TRUE(elements_of_real(TernaryFormat{}, x, rule_of(TernaryFormat{}))
                  .equal(at::tensor({0.0, 0.0, 0.0, 0.0, 1.0})));
}

TEST(CheckFormat, RefusesWhatCannotBeNamingBoth) {
  const auto refuse = [](const Format& format, const std::vector<std::string>& words) {
    expect_error<c10::ValueError>([&] { check_format(format); }, words);
  };
  refuse(MinifloatFormat{.exponent_bits = 0, .mantissa_bits = 0}, {"exponent_bits", "0", "int"});
  refuse(MinifloatFormat{.exponent_bits = 8, .mantissa_bits = 9}, {"mantissa_bits", "16 bits"});
  refuse(MinifloatFormat{.exponent_bits = 8, .mantissa_bits = 3}, {"exponent_bits 8", "float32"});
  refuse(MinifloatFormat{.saturating = false}, {"saturating false", "specials none"});
  refuse(MinifloatFormat{.mantissa_bits = 0, .specials = FloatSpecials::kIeee},
         {"specials ieee", "mantissa_bits 0"});
  refuse(MinifloatFormat{.specials = FloatSpecials::kNegativeZero, .is_signed = false},
         {"negative_zero", "signed false"});
  refuse(MinifloatFormat{.subnormals = false}, {"subnormals false", "signed true"});
  refuse(TernaryFormat{.threshold = std::nan("")}, {"ternary_threshold", "nan"});
  refuse(TableFormat{{1}}, {"2 to 65536", "1"});
  refuse(TableFormat{{1, 2, 1}}, {"twice", "1"});
  refuse(TableFormat{{0, std::nan("")}}, {"finite", "nan"});
  refuse(TableFormat{{0.0, -0.0}}, {"two different"});
  refuse(PowerSumFormat{.bit_width = 4, .terms = 2}, {"terms", "2", "bits 4"});
  refuse(PowerSumFormat{.root = 3}, {"root", "3"});
  refuse(CustomFormat{"one", {}, [](const CustomParameters&) { return std::vector<double>{1}; }},
         {"one", "2 to 65536"});
}

TEST(Encode, RefusesANumberThatTheFormatDoesNotHave) {
  expect_error<c10::ValueError>([] { encode(nf4(), at::tensor({0.5})); },
                                {"numbers of the format"});
  expect_error<c10::ValueError>([] { decode(nf4(), at::tensor({16}), at::kFloat); }, {"0 to 15"});
  expect_error<c10::ValueError>([] { encode(e2m1(), at::tensor({std::nan("")})); },
                                {"e2m1", "NaN"});
}

}  // namespace
}  // namespace laconic
