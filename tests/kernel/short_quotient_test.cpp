// Quotients of bfloat16 numbers as the fused quantizers find them (DivideBy::kShort).
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>

namespace laconic {
namespace {

#if defined(__x86_64__)
/// How many of the numbers 128 to 255 have another quotient by the reciprocal and one correction
/// than by division.
__attribute__((target("avx2,fma"))) int64_t wrong_quotients(float divisor) {
  const float inverse = 1 / divisor;
  int32_t wrong = 0;
  for (int32_t i = 128; i < 256; ++i) {
    const auto x = static_cast<float>(i);
    const float near = x * inverse;
    const float nearer = std::fma(-std::fma(near, divisor, -x), inverse, near);
    wrong += nearer == x / divisor ? 0 : 1;
  }
  return wrong;
}

TEST(ShortQuotient, IsRightAfterOneCorrectionForAllDigitsOfBothNumbers) {
  if (!__builtin_cpu_supports("fma")) GTEST_SKIP() << "needs fused multiply-add";
  int64_t wrong = 0;
  for (uint32_t digits = 0; digits < 1U << 23; ++digits)
    wrong += wrong_quotients(std::bit_cast<float>(0x3F800000U | digits));
  EXPECT_EQ(wrong, 0);
}
#endif

}  // namespace
}  // namespace laconic
