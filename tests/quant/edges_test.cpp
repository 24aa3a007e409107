// Numbers and parts at the edge of what there is: right, or refused with both parts named.
#include <limits>

#include "laconic/quant/quantizer/quantize.h"
#include "laconic/quant/quantizer/yaml.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

QuantSpec edge_spec(const std::string& text) { return quant_spec_from_yaml(text, "r.yaml"); }

TEST(Edges, AThresholdThatIsNotAboveZeroIsRefused) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{bits: 1}", "format int1"},
      {"{bits: 1, threshold: largest_power}", "format int1"},
      {"{format: table, values: [-1, -2]}", "format table of 2"},
      {"{format: choice, tables: [[-1, 1], [-1, -2]]}", "format choice of 2"}};
  for (const auto& [text, format] : cases) {
    SCOPED_TRACE(text);
    expect_error<c10::ValueError>([text = text] { edge_spec(text); },
                                  {"r.yaml:1:1", "threshold", format, "full_range"});
  }
  const auto value = fake_quantize_dynamic(edge_spec("{bits: 1, threshold: full_range}"),
                                           at::tensor({-2.0F, 0.5F, 2.0F}));
  EXPECT_TRUE(value.equal(at::tensor({-2.0F, 0.0F, 0.0F})));
}

TEST(Edges, ARangeThatItsDtypeCannotHoldIsRefusedOrPropagates) {
  const auto wide = at::tensor({-3e38F, 3e38F}).repeat({4, 16});
  for (const std::string text :
       {"{statistic: min_max, zero_point: integer}", "{statistic: l1_norm}",
        "{format: table, values: [-1e-3, 1e-3], granularity: token}"}) {
    SCOPED_TRACE(text);
    const auto spec = edge_spec(text);
    expect_error<c10::ValueError>([&] { find_parameters(spec, wide); },
                                  {"[scale]", "more than Float holds", to_string(spec)});
    EXPECT_TRUE(find_parameters(spec.let(NonFinite::kPropagate), wide)
                    .scale.isfinite()
                    .logical_not()
                    .all()
                    .item<bool>());
  }
}

TEST(Edges, AScaleThatIsTooSmallForItsDtypeDividesNothingToNaN) {
  for (const std::string text :
       {"{format: minifloat, exponent_bits: 8, mantissa_bits: 7, specials: ieee}",
        "{format: minifloat, exponent_bits: 8, mantissa_bits: 2, "
        "specials: ieee, granularity: token, minimum: 1e-30}"}) {
    SCOPED_TRACE(text);
    for (const double number : {0.0, 1e-40, 1e-12}) {
      const auto x = at::full({2, 16}, number);
      const auto parameters = find_parameters(edge_spec(text), x);
      EXPECT_TRUE(parameters.scale.gt(0).all().item<bool>());
      const auto value = fake_quantize(edge_spec(text), x, parameters);
      EXPECT_TRUE(value.isfinite().all().item<bool>());
      EXPECT_LE((value - x).abs().max().item<double>(), number);
    }
  }
}

TEST(Edges, FixedPointHoldsScalesWhoseStepsFloatCannotCount) {
  const auto spec = edge_spec("{restriction: fixed_point, fraction_bits: 126}");
  const auto x = at::linspace(-1000, 1000, 32);
  const auto parameters = find_parameters(spec, x);
  EXPECT_NEAR(parameters.scale.item<double>(), 1000.0 / 127, 1e-5);
}

TEST(Edges, OtherDtypesThanTheFourAreRefusedByName) {
  for (const at::ScalarType dtype : {at::kFloat8_e4m3fn, at::kFloat8_e5m2, at::kInt}) {
    const auto x = at::ones({4, 16}).to(dtype);
    expect_error<c10::TypeError>([&] { find_parameters(QuantSpec{}, x); },
                                 {"float32, float64, float16 or bfloat16"});
    expect_error<c10::TypeError>([&] { fake_quantize_dynamic(QuantSpec{}, x); },
                                 {"float32, float64, float16 or bfloat16"});
  }
}

}  // namespace
}  // namespace laconic
