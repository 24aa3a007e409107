#include "laconic/transform/rotate/rotate.h"

#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>

#include "laconic/graph/trace.h"
#include "laconic/kernel/hadamard.h"
#include "laconic/transform/rotate/heads.h"
#include "laconic/transform/streams.h"
#include "small_models.h"

namespace laconic {
namespace {

using testing::difference;
using testing::expect_error;
using ::testing::HasSubstr;
using testing::kRounding;
using testing::logits_of;
using testing::small_configs;
using testing::small_model;
using testing::transformed;

const nlohmann::json kWhole = {{"online", true}, {"keys", true}};

transform::FloatNetwork network_of(const LanguageModel& model) {
  return {model.graph, model.parameters};
}

TEST(Rotate, EveryArchitectureComputesTheSame) {
  for (const auto& [name, config] : small_configs()) {
    for (const nlohmann::json& options : {nlohmann::json::object(), kWhole}) {
      SCOPED_TRACE(name + " " + options.dump());
      const testing::TemporaryDirectory directory;
      auto model = small_model(directory.path(), config);
      const auto before = logits_of(model);
      transformed(model, "fold_norms");
      const size_t changes = model.graph_changes.size();
      const auto report = transformed(model, "rotate", options);
      EXPECT_LT(difference(logits_of(model), before), kRounding);
      EXPECT_THAT(report.fallbacks, ::testing::IsEmpty());
      EXPECT_EQ(report.done.size(), options.empty() ? 2u : 4u);
      EXPECT_EQ(model.graph_changes.size(), changes + (options.empty() ? 0 : 2));
    }
  }
}

TEST(Rotate, NewerArchitecturesComputeTheSame) {
  for (const auto& [name, config] : testing::newer_configs()) {
    for (nlohmann::json options : {nlohmann::json::object(), kWhole}) {
      // Norms behind the blocks of Gemma keep their gains.
      const bool is_gemma = name.starts_with("Gemma");
      if (is_gemma) options["residual"] = "none";
      SCOPED_TRACE(name + " " + options.dump());
      const testing::TemporaryDirectory directory;
      auto model = small_model(directory.path(), config);
      const auto before = logits_of(model);
      transformed(model, "fold_norms");
      const auto report = transformed(model, "rotate", options);
      EXPECT_LT(difference(logits_of(model), before), kRounding);
      EXPECT_THAT(report.done.at(0), ::testing::HasSubstr(is_gemma ? "3 attentions, head by head"
                                                                   : "stream of 48 features"));
      const bool is_mixture = config.contains("num_experts_per_tok");
      const std::string router = name[0] == 'M' ? "block_sparse_moe" : "mlp";
      if (!is_mixture) continue;
      // Routers were rotated with the layers.
      EXPECT_TRUE(model.changed.contains("model.layers.0." + router + ".gate.weight"));
    }
  }
}

TEST(Rotate, EveryArchitectureHasOneStreamAndHeadsInEachBlock) {
  for (const auto& [name, config] : small_configs()) {
    SCOPED_TRACE(name);
    const testing::TemporaryDirectory directory;
    auto model = small_model(directory.path(), config);
    transformed(model, "fold_norms");
    const auto streams = transform::find_streams(network_of(model));
    EXPECT_EQ(std::count_if(streams.begin(), streams.end(),
                            [](const auto& stream) { return stream.is_rotatable(); }),
              1);
    const auto heads = transform::find_heads(network_of(model));
    ASSERT_EQ(heads.size(), 3u);
    for (const auto& region : heads) {
      EXPECT_EQ(region.obstacle, "");
      EXPECT_EQ(region.size, name == "Qwen3ForCausalLM" ? 16 : 12);
      EXPECT_EQ(region.sinks.size(), 1u);
    }
  }
}

TEST(Rotate, EveryKindOfMatrixAndBlocksComputeTheSame) {
  for (const char* kind : {"hadamard", "random_hadamard", "orthogonal"}) {
    for (const int64_t block : {0, 4, 16}) {
      SCOPED_TRACE(std::string(kind) + " " + std::to_string(block));
      const testing::TemporaryDirectory directory;
      auto model = small_model(directory.path(), small_configs()["LlamaForCausalLM"]);
      const auto before = logits_of(model);
      transformed(model, "fold_norms");
      transformed(model, "rotate",
                  {{"residual", kind}, {"heads", kind}, {"online", true}, {"block_size", block}});
      EXPECT_LT(difference(logits_of(model), before), kRounding);
    }
  }
}

TEST(Rotate, NamesOfModulesAndParametersDoNotMatter) {
  const testing::TemporaryDirectory directory;
  auto model = small_model(directory.path(), small_configs()["Qwen2ForCausalLM"]);
  const auto before = logits_of(model);
  std::map<std::string, at::Tensor> table;
  std::map<std::string, std::string> renamed;
  for (graph::Node& node : model.graph.nodes) {
    node.module = "m" + std::to_string(std::hash<std::string>{}(node.module));
    if (node.kind != graph::NodeKind::kParameter) continue;
    const std::string name = "p" + std::to_string(std::hash<std::string>{}(node.target));
    table[name] = model.parameters->get(node.target);
    node.target = name;
  }
  transform::FloatNetwork network{model.graph,
                                  std::make_shared<graph::ParameterTable>(std::move(table))};
  find_transform("fold_norms").apply(network, nlohmann::json::object());
  const auto report = find_transform("rotate").apply(network, kWhole);
  EXPECT_EQ(report.done.size(), 4u);
  EXPECT_THAT(report.fallbacks, ::testing::IsEmpty());
  EXPECT_LT(difference(logits_of(network.graph, *network.parameters), before), kRounding);
}

/// A network of no architecture that is known here: attention beside the layers of the MLP, keys of
/// fewer heads repeated, one layer for values and keys, positions that are a parameter, and
/// probabilities times values.
struct OwnBlock : torch::nn::Module {
  OwnBlock() : query(24, 24), key_value(24, 24), out(24, 24), first(24, 40), second(40, 24) {
    register_module("query", query), register_module("key_value", key_value);
    register_module("out", out), register_module("first", first);
    register_module("second", second);
  }
  at::Tensor forward(const at::Tensor& x) {
    const graph::ModuleScope scope(*this);
    const auto y = at::rms_norm(x, {24}, {}, 1e-6);
    const auto q = query(y).unflatten(-1, {4, 6}).transpose(1, 2);
    const auto parts = key_value(y).unflatten(-1, {2, 2, 6}).transpose(1, 3).chunk(2, 2);
    const auto spread = [](const at::Tensor& t) { return t.squeeze(2).repeat_interleave(2, 1); };
    const auto k = spread(parts[1]), v = spread(parts[0]);
    const auto p = at::softmax(at::matmul(q, k.transpose(-1, -2)), -1);
    const auto mixed = at::matmul(p, v).permute({0, 2, 1, 3}).reshape({x.size(0), x.size(1), 24});
    return x + out(mixed) * 0.5 + second(at::tanh(first(y)));
  }
  torch::nn::Linear query, key_value, out, first, second;
};

struct OwnNetwork : torch::nn::Module {
  OwnNetwork() : words(97, 24), head(24, 97) {
    register_module("a", words), register_module("z", head);
    positions = register_parameter("places", at::randn({1, 1, 24}));
    auto list = std::make_shared<torch::nn::Module>();
    for (int i = 0; i < 3; ++i)
      blocks.push_back(list->register_module(std::to_string(i), std::make_shared<OwnBlock>()));
    register_module("blocks", list);
  }
  at::Tensor forward(const at::Tensor& ids) {
    const graph::ModuleScope scope(*this);
    auto x = words(ids) * 2 + positions;
    for (const auto& block : blocks) x = block->forward(x);
    return head(at::rms_norm(x, {24}, {}, 1e-6));
  }
  torch::nn::Embedding words;
  torch::nn::Linear head;
  at::Tensor positions;
  std::vector<std::shared_ptr<OwnBlock>> blocks;
};

TEST(Rotate, FindsTheRegionsOfANetworkThatNobodyKnows) {
  at::manual_seed(2);
  OwnNetwork module;
  module.eval();
  std::map<std::string, at::Tensor> table;
  for (const auto& item : module.named_parameters()) table[item.key()] = item.value().detach();
  const auto graph =
      graph::trace(module, [&](const at::Tensor& ids) { return module.forward(ids); });
  transform::FloatNetwork network{graph, std::make_shared<graph::ParameterTable>(std::move(table))};
  const auto before = logits_of(network.graph, *network.parameters);
  const auto report = find_transform("rotate").apply(network, {{"online", true}});
  EXPECT_LT(difference(logits_of(network.graph, *network.parameters), before), kRounding);
  // A head has 6 features.
  ASSERT_EQ(report.fallbacks.size(), 3u);
  EXPECT_THAT(report.fallbacks, ::testing::Each(HasSubstr("order 6")));
  ASSERT_EQ(report.done.size(), 3u);
  // The embedding, the positions, two layers and their biases a block; three layers a block, the
  // head.
  EXPECT_THAT(report.done[0], HasSubstr("24 features: 14 tensors that write and 10 layers"));
  EXPECT_THAT(report.done[1], HasSubstr("3 attentions"));
  EXPECT_THAT(report.done[2], HasSubstr("3 layers"));
}

TEST(Rotate, SeedsGiveOtherWeightsAndTheSameSeedTheSame) {
  const testing::TemporaryDirectory directory;
  const auto weight = [&](int64_t seed) {
    auto model = small_model(directory.path(), small_configs()["LlamaForCausalLM"]);
    transformed(model, "fold_norms");
    transformed(model, "rotate", {{"seed", seed}});
    return model.parameters->get("model.layers.2.mlp.up_proj.weight");
  };
  EXPECT_TRUE(weight(1).equal(weight(1)));
  EXPECT_FALSE(weight(1).equal(weight(2)));
}

TEST(Rotate, SpreadsAnOutlierOverTheStream) {
  const testing::TemporaryDirectory directory;
  auto model = small_model(directory.path(), small_configs()["MistralForCausalLM"]);
  const std::string name = "model.embed_tokens.weight";
  const auto peak = [&] {
    const auto table = model.parameters->get(name);
    return (table.abs().amax(1) / table.square().mean(1).sqrt()).mean().item<double>();
  };
  const auto stored = model.parameters->get(name).clone();
  stored.select(1, 5).mul_(100);
  model.parameters = std::make_shared<graph::OverlaidParameters>(
      *std::shared_ptr(model.parameters), std::map<std::string, at::Tensor>{{name, stored}});
  const double before = peak();
  EXPECT_GT(before, 6);
  const transform::Rotation rotation = transform::make_rotation("random_hadamard", 48, 0, nullptr);
  const auto turned = rotation.apply(stored);
  EXPECT_LT((turned.abs().amax(1) / turned.square().mean(1).sqrt()).mean().item<double>(), 2);
}

TEST(Rotate, WithoutFoldedNormsSaysWhichNormStandsInTheWay) {
  const testing::TemporaryDirectory directory;
  for (const char* name : {"LlamaForCausalLM", "GPT2LMHeadModel"}) {
    auto model = small_model(directory.path(), small_configs()[name]);
    expect_error<c10::ValueError>([&] { transformed(model, "rotate"); },
                                  {"[transform rotate] residual", "norm", "put fold_norms before"});
  }
}

TEST(Rotate, ChecksItsOptions) {
  const auto refused = [](const nlohmann::json& options, const std::vector<std::string>& words) {
    expect_error<c10::ValueError>([&] { transform::check_rotate(options); }, words);
  };
  refused({{"residual", "hadamrd"}}, {"residual", "hadamrd", "hadamard"});
  refused({{"onlin", true}}, {"unknown option", "onlin", "online"});
  refused({{"online", 1}}, {"online", "expected true or false"});
  refused({{"block_size", -1}}, {"block_size", "from 0"});
}

}  // namespace
}  // namespace laconic
