#include "laconic/runtime/generate.h"

#include <ATen/ATen.h>

#include <set>

#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

std::set<int64_t> drawn(const Sampling& options, const at::Tensor& logits) {
  Sampler sampler(options);
  std::set<int64_t> tokens;
  for (int i = 0; i < 500; ++i) tokens.insert(sampler.choose(logits));
  return tokens;
}

TEST(Sampler, WithoutTemperatureTakesTheMostProbable) {
  EXPECT_EQ(drawn({}, at::tensor({1.0f, 3.0f, 2.0f})), std::set<int64_t>{1});
}

TEST(Sampler, DrawsByProbability) {
  const auto logits = at::tensor({0.7f, 0.2f, 0.1f}).log();
  Sampler sampler({.temperature = 1, .seed = 4});
  std::vector<double> counts(3);
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) counts[sampler.choose(logits)] += 1.0 / kDraws;
  // Four deviations of a mean of so many draws.
  EXPECT_NEAR(counts[0], 0.7, 0.013);
  EXPECT_NEAR(counts[1], 0.2, 0.012);
}

TEST(Sampler, KeepsToTheMostProbableOfTopKAndTopP) {
  const auto logits = at::tensor({0.1f, 0.4f, 0.2f, 0.3f}).log();
  EXPECT_EQ(drawn({.temperature = 1, .top_k = 2}, logits), (std::set<int64_t>{1, 3}));
  EXPECT_EQ(drawn({.temperature = 1, .top_p = 0.6}, logits), (std::set<int64_t>{1, 3}));
  EXPECT_EQ(drawn({.temperature = 1, .top_p = 0.39}, logits), std::set<int64_t>{1});
  EXPECT_EQ(drawn({.temperature = 1}, logits), (std::set<int64_t>{0, 1, 2, 3}));
}

TEST(Sampler, RepeatsItselfByItsSeed) {
  const auto logits = at::zeros({50});
  const auto tokens = [&](uint64_t seed) {
    Sampler sampler({.temperature = 1, .seed = seed});
    std::vector<int64_t> result;
    for (int i = 0; i < 20; ++i) result.push_back(sampler.choose(logits));
    return result;
  };
  EXPECT_EQ(tokens(1), tokens(1));
  EXPECT_NE(tokens(1), tokens(2));
}

TEST(SamplerFault, NumbersOutsideOfTheirRangesAreRefused) {
  expect_error<c10::ValueError>([] { Sampler({.temperature = -1}); }, {"temperature", "0 or more"});
  expect_error<c10::ValueError>([] { Sampler({.top_k = -1}); }, {"top_k"});
  expect_error<c10::ValueError>([] { Sampler({.top_p = 0}); }, {"top_p", "above 0"});
  expect_error<c10::ValueError>([] { Sampler({}).choose(at::full({2}, NAN)); }, {"NaN"});
}

}  // namespace
}  // namespace laconic
