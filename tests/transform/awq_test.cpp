#include "laconic/transform/awq/awq.h"

#include "laconic/quant/quantizer/quantize.h"
#include "laconic/transform/awq/search.h"
#include "small_models.h"

namespace laconic {
namespace {

using testing::context_of;
using testing::difference;
using testing::every_config;
using testing::kRounding;
using testing::logits_of;
using testing::small_configs;
using testing::small_model;

QuantSpec three_bits(int64_t group) {
  QuantSpec spec;
  spec.format = IntFormat{.bit_width = 3};
  spec.granularity = PerGroup{.axis = 1, .group_size = group};
  return spec;
}

TEST(Awq, FactorsKeepWhatEveryArchitectureComputes) {
  for (const auto& [name, config] : every_config()) {
    SCOPED_TRACE(name);
    const testing::TemporaryDirectory directory;
    auto model = small_model(directory.path(), config);
    const auto before = logits_of(model);
    const auto report = transform_model(model, find_transform("awq"), {{"clip", false}},
                                        context_of(model, three_bits(8)));
    EXPECT_LT(difference(logits_of(model), before), kRounding);
    EXPECT_THAT(model.graph_changes, ::testing::IsEmpty());
    EXPECT_THAT(report.fallbacks, ::testing::IsEmpty());
    EXPECT_FALSE(model.changed.empty());
  }
}

/// Three large features of sixteen.
struct Salient {
  at::Tensor weight, x, hessian, mean;
  transform::Scaling scaling;
  Salient() {
    at::manual_seed(5);
    weight = at::randn({24, 16});
    x = at::randn({200, 16});
    x.slice(1, 0, 3) *= 30;
    hessian = x.t().mm(x) / 200;
    mean = x.abs().mean(0);
    scaling.width = 16;
  }
};

TEST(Awq, ErrorFallsByMuchWhereAFewFeaturesAreLarge) {
  const Salient salient;
  const auto found = transform::search_factors({{salient.weight, three_bits(16)}}, salient.hessian,
                                               salient.mean, salient.scaling, {});
  EXPECT_LT(found.error, 0.5 * found.error_before);
  const auto quantized = fake_quantize_dynamic(three_bits(16), salient.weight * found.factors);
  const auto output = (quantized / found.factors - salient.weight).mm(salient.x.t());
  EXPECT_NEAR(output.square().sum().item<double>() / 200, found.error, 1e-3 * found.error);
}

TEST(Awq, WeightMeansAreMoreCandidatesAndNeverWorse) {
  const Salient salient;
  const std::vector<transform::FutureWeight> weights = {{salient.weight, three_bits(8)}};
  const auto alone = search_factors(weights, salient.hessian, salient.mean, salient.scaling, {});
  const auto more = search_factors(weights, salient.hessian, salient.mean, salient.scaling,
                                   {.weight_mean = true});
  EXPECT_LE(more.error, alone.error);
  EXPECT_DOUBLE_EQ(more.error_before, alone.error_before);
}

TEST(Awq, ClipsLowerTheErrorOfEachGroup) {
  const Salient salient;
  const transform::FutureWeight future{salient.weight, three_bits(8)};
  const auto clips = transform::search_clips(future, salient.hessian, {});
  ASSERT_EQ(clips.sizes(), (std::vector<int64_t>{24, 2, 1}));
  const auto cut = transform::clipped(future.weight, clips);
  const auto error = [&](const at::Tensor& weight, int64_t group) {
    const auto d = (fake_quantize_dynamic(future.spec, weight) - future.weight)
                       .slice(1, group * 8, group * 8 + 8);
    return d.mm(salient.x.slice(1, group * 8, group * 8 + 8).t()).square().sum(1);
  };
  for (int64_t group = 0; group < 2; ++group) {
    const auto before = error(future.weight, group), after = error(cut, group);
    EXPECT_TRUE((after <= before * 1.0001).all().item<bool>());
    EXPECT_LT(after.sum().item<double>(), 0.98 * before.sum().item<double>());
  }
  EXPECT_TRUE((clips >= future.weight.abs().unflatten(1, {2, 8}).amax(-1, true) * 0.549)
                  .all()
                  .item<bool>());
}

TEST(Awq, QueriesAndKeysAreNotClipped) {
  const testing::TemporaryDirectory directory;
  auto model = small_model(directory.path(), small_configs()["LlamaForCausalLM"]);
  auto scaled = model;
  transform_model(model, find_transform("awq"), nlohmann::json::object(),
                  context_of(model, three_bits(8)));
  transform_model(scaled, find_transform("awq"), {{"clip", false}},
                  context_of(scaled, three_bits(8)));
  const auto changed = [&](const std::string& name) {
    const std::string weight = "model.layers.1." + name + ".weight";
    return !model.parameters->get(weight).equal(scaled.parameters->get(weight));
  };
  EXPECT_FALSE(changed("self_attn.q_proj"));
  EXPECT_FALSE(changed("self_attn.k_proj"));
  for (const char* name :
       {"self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"})
    EXPECT_TRUE(changed(name)) << name;
}

}  // namespace
}  // namespace laconic
