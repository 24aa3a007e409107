#include "laconic/quant/quantizer/quant_tensor.h"

#include "tests/testing/testing.h"

namespace laconic {
namespace {

TEST(QuantTensor, HoldsWhatAnExportNeedsAndTellsItsCodesExactly) {
  at::manual_seed(1);
  for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16, at::kDouble}) {
    for (int64_t bits = 2; bits <= 8; ++bits) {
      const auto x = at::randn({12, 64}).to(dtype);
      const auto spec =
          QuantSpec{}.let(IntFormat{.bit_width = bits, .is_signed = false},
                          PerGroup{.axis = 1, .group_size = 16}, MinMax{}, IntegerZeroPoint{});
      const auto parameters = find_parameters(spec, x);
      const QuantTensor q = quantize(spec, x);
      SCOPED_TRACE(to_string(spec) + " of " + c10::toString(dtype));
      EXPECT_TRUE(at::equal(q.scale, parameters.scale));
      EXPECT_TRUE(at::equal(q.zero_point, parameters.zero_point));
      EXPECT_EQ(q.format, spec.format);
      EXPECT_TRUE(at::equal(codes_of(q), quantize_codes(spec, x, parameters)));
      EXPECT_TRUE(at::equal(q.value, dequantize(spec, codes_of(q), parameters)));
    }
  }
}

TEST(QuantTensor, CarriesTheGradientOfItsValue) {
  const auto x = at::randn({4, 8}).set_requires_grad(true);
  quantize(QuantSpec{}.let(PerChannel{.axis = 0}), x).value.sum().backward();
  EXPECT_TRUE(x.grad().defined());
}

}  // namespace
}  // namespace laconic
