#include "laconic/base/text.h"

#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

TEST(NearestWord, FindsTheWordThatWasMeant) {
  const std::vector<std::string> known = {"group_size", "granularity", "rounding"};
  EXPECT_EQ(nearest_word("gruop_size", known), "group_size");
  EXPECT_EQ(nearest_word("xyz", known), "");
  EXPECT_THAT(suggestion("roundin", known), ::testing::HasSubstr("did you mean \"rounding\""));
}

TEST(IsUtf8, FindsTheFirstBadByte) {
  size_t at = 0;
  EXPECT_TRUE(is_utf8("na\xC3\xAFve \xF0\x9F\x98\x80"));
  EXPECT_FALSE(is_utf8("ab\xC0\x80", &at));
  EXPECT_EQ(at, 2u);
  EXPECT_FALSE(is_utf8("\xED\xA0\x80"));      // a surrogate
  EXPECT_FALSE(is_utf8("\xF4\x90\x80\x80"));  // beyond U+10FFFF
  EXPECT_FALSE(is_utf8("\xE2\x82"));          // cut short
}

TEST(MatchesPattern, TakesStarsQuestionMarksAndRegularExpressions) {
  EXPECT_TRUE(matches_pattern("model.layers.0.self_attn.q_proj", "*.q_proj"));
  EXPECT_TRUE(matches_pattern("model.layers.0.self_attn.q_proj", "model.layers.?.*"));
  EXPECT_FALSE(matches_pattern("model.layers.0.mlp.up_proj", "*.q_proj"));
  EXPECT_TRUE(matches_pattern("model.layers.12.mlp", R"(re:model\.layers\.\d+\.mlp)"));
  expect_error<c10::ValueError>([] { matches_pattern("a", "re:("); }, {"[pattern]", "re:("});
}

TEST(Readable, NamesUnits) {
  EXPECT_EQ(readable_bytes(1536), "1.5 KiB");
  EXPECT_EQ(readable_seconds(75), "1 min 15 s");
}

}  // namespace
}  // namespace laconic
