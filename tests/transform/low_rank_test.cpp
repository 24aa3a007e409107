#include "laconic/transform/low_rank/low_rank.h"

#include "laconic/quant/quantizer/quantize.h"
#include "small_models.h"

namespace laconic {
namespace {

using testing::context_of;
using testing::difference;
using testing::every_config;
using testing::kRounding;
using testing::logits_of;
using testing::small_model;

QuantSpec four_bits() {
  QuantSpec spec;
  spec.format = IntFormat{.bit_width = 4};
  spec.granularity = PerChannel{.axis = 0};
  return spec;
}

TEST(LowRank, EveryArchitectureComputesTheSame) {
  for (const auto& [name, config] : every_config()) {
    SCOPED_TRACE(name);
    const testing::TemporaryDirectory directory;
    auto model = small_model(directory.path(), config);
    const auto before = logits_of(model);
    const size_t layers = model.layers.size();
    transform_model(model, find_transform("low_rank"), {{"rank", 4}, {"iterations", 2}},
                    context_of(model, four_bits()));
    EXPECT_LT(difference(logits_of(model), before), kRounding);
    EXPECT_EQ(model.graph_changes, std::vector<std::string>{"low_rank"});
    EXPECT_EQ(model.layers.size(), layers);  // branches are no layers that could be quantized
    EXPECT_EQ(model.blocks.size(), 3u);
  }
}

TEST(LowRank, FirstRoundLeavesTheSmallestDirections) {
  at::manual_seed(4);
  const auto weight = at::randn({20, 30});
  const auto found = transform::find_low_rank({weight, four_bits()}, 5, 1);
  const auto rest = weight - found.in.mm(found.out).t();
  const auto s = std::get<1>(at::linalg_svd(weight));
  EXPECT_NEAR(rest.square().sum().item<double>(), s.slice(0, 5).square().sum().item<double>(),
              1e-3);
}

TEST(LowRank, MoreRoundsAreNeverWorse) {
  at::manual_seed(4);
  auto weight = at::randn({32, 48});
  weight.slice(1, 0, 3) *= 20;
  double last = 1;
  for (const int64_t rounds : {1, 2, 4, 8}) {
    const auto found = transform::find_low_rank({weight, four_bits()}, 8, rounds);
    EXPECT_LE(found.relative_error, last);
    last = found.relative_error;
    const auto branch = found.in.mm(found.out).t(), rest = weight - branch;
    const auto error = fake_quantize_dynamic(four_bits(), rest) + branch - weight;
    EXPECT_NEAR((error.norm() / weight.norm()).item<double>(), last, 1e-5);
  }
  const auto nearest = fake_quantize_dynamic(four_bits(), weight) - weight;
  EXPECT_LT(last, 0.3 * (nearest.norm() / weight.norm()).item<double>());
}

TEST(LowRank, RankLargerThanTheWeightIsTheWholeOfIt) {
  const auto weight = at::randn({6, 9});
  const auto found = transform::find_low_rank({weight, four_bits()}, 100, 1);
  EXPECT_LT(difference(found.in.mm(found.out).t(), weight), 1e-5);
  EXPECT_LT(found.relative_error, 1e-5);
}

}  // namespace
}  // namespace laconic
