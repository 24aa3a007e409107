#include "laconic/graph/run.h"

#include <set>

#include "laconic/graph/match.h"
#include "tests/graph/networks.h"
#include "tests/testing/testing.h"

namespace laconic::graph {
namespace {

using laconic::testing::expect_error;
using testing::close;
using testing::result_of;
using testing::StackNet;
using testing::table_of;
using testing::trace_net;

at::Tensor some_ids() { return at::randint(20, {2, 6}, at::kLong); }

TEST(Runner, GradientsEqualTheModules) {
  StackNet net;
  const Graph graph = trace_net(net);
  const auto ids = some_ids();
  net.forward(ids).square().sum().backward();
  std::map<std::string, at::Tensor> expected;
  for (const auto& item : net.named_parameters())
    expected[item.key()] = item.value().grad().clone();
  net.zero_grad();
  result_of(graph, ids, table_of(net)).square().sum().backward();
  for (const auto& item : net.named_parameters())
    EXPECT_TRUE(close(item.value().grad(), expected.at(item.key()))) << item.key();
}

TEST(Runner, BlockByBlockEqualsTheWhole) {
  StackNet net;
  const Graph graph = trace_net(net);
  const auto table = table_of(net);
  const Runner runner(graph);
  const auto ids = some_ids();
  const auto blocks = find_blocks(graph);
  Environment environment{{Value{graph.input()}, ids}};
  NodeId at = 0;
  for (const Block& block : blocks) {
    runner.run(at, block.begin, table, environment);
    EXPECT_EQ(environment.size(), 1u) << block.name;
    at = block.begin;
  }
  runner.run(at, graph.size(), table, environment);
  EXPECT_TRUE(close(environment.at(Value{graph.output()}), net.forward(ids)));
}

TEST(Runner, TheEnvironmentHoldsWhatIsNeededLaterAndWhatIsKept) {
  StackNet net;
  const Graph graph = trace_net(net);
  const Runner runner(graph);
  const auto block = find_blocks(graph).at(1);
  Environment environment{{Value{graph.input()}, some_ids()}};
  const Value inside = find_linear_layers(graph).at(1).input;
  runner.run(0, block.end, table_of(net), environment, {inside});
  std::set<Value> held;
  for (const auto& [value, unused] : environment) held.insert(value);
  std::set<Value> expected{inside};
  for (const Value& value : runner.live_before(block.end)) expected.insert(value);
  EXPECT_EQ(held, expected);
}

TEST(Runner, SavesNothingForABackwardWithoutAGradientMode) {
  StackNet net;
  const Graph graph = trace_net(net);
  const at::NoGradGuard no_grad;
  EXPECT_FALSE(result_of(graph, some_ids(), table_of(net)).requires_grad());
}

/// Counts what the runner fetches and releases.
class CountedParameters : public Parameters {
 public:
  explicit CountedParameters(ParameterTable table) : table_(std::move(table)) {}
  at::Tensor get(const std::string& name) const override {
    ++alive;
    most_alive = std::max(most_alive, alive);
    return table_.get(name);
  }
  at::Tensor rows(const std::string& name, const at::Tensor& indices) const override {
    looked_up += indices.numel();
    return Parameters::rows(name, indices);
  }
  bool has(const std::string& name) const override { return table_.has(name); }
  void release(const std::string&) const override { --alive; }
  mutable int alive = 0, most_alive = 0;
  mutable int64_t looked_up = 0;

 private:
  ParameterTable table_;
};

TEST(Runner, ReleasesEachParameterAfterItsUse) {
  StackNet net;
  const CountedParameters parameters(table_of(net));
  result_of(trace_net(net), some_ids(), parameters);
  EXPECT_EQ(parameters.alive, 0);
  EXPECT_LE(parameters.most_alive, 2);  // weight and bias of one layer
  EXPECT_EQ(parameters.looked_up, some_ids().numel()) << "an embedding reads the rows it needs";
}

TEST(Runner, QuantizesWhereAQuantizerIsPlaced) {
  StackNet net;
  const Graph graph = trace_net(net);
  const QuantSpec spec;
  const auto layer = find_linear_layers(graph).front();
  const auto weight = net.blocks[0]->up->weight;
  auto table = table_of(net);
  const Runner quantized(quantize_weight(graph, layer, {spec, std::nullopt}));
  OverlaidParameters by_hand(table, {{layer.weight_name, fake_quantize_dynamic(spec, weight)}});
  const auto ids = some_ids();
  EXPECT_TRUE(at::equal(quantized(ids, table), result_of(graph, ids, by_hand)));
  EXPECT_FALSE(at::equal(quantized(ids, table), result_of(graph, ids, table)));
}

TEST(RunnerFault, AMissingValueIsNamed) {
  StackNet net;
  const Graph graph = trace_net(net);
  const Runner runner(graph);
  Environment environment;
  expect_error<c10::ValueError>([&] { runner.run(0, graph.size(), table_of(net), environment); },
                                {"input_ids", "not in the environment"});
  expect_error<c10::ValueError>(
      [&] { runner.run(0, graph.size() + 1, table_of(net), environment); }, {"range"});
  environment = {{Value{graph.size() + 5}, at::ones({1})}};
  expect_error<c10::ValueError>([&] { runner.run(0, 1, table_of(net), environment); },
                                {"the environment holds"});
  environment.clear();
  expect_error<c10::ValueError>(
      [&] { runner.run(0, 1, table_of(net), environment, {Value{graph.size() + 5}}); },
      {"cannot keep"});
}

TEST(RunnerFault, AMissingParameterIsNamedWithItsNode) {
  StackNet net;
  const Graph graph = trace_net(net);
  expect_error<c10::ValueError>([&] { result_of(graph, some_ids(), ParameterTable({})); },
                                {"embedding.weight"});
}

TEST(RunnerFault, AnOperatorsErrorNamesNodeAndModule) {
  StackNet net;
  const Graph graph = trace_net(net);
  const auto table = table_of(net);
  OverlaidParameters overlaid(table, {{"blocks.1.up.weight", at::ones({3, 3})}});
  expect_error<c10::Error>([&] { result_of(graph, some_ids(), overlaid); },
                           {"while running", "aten::linear", "blocks.1.up"});
}

TEST(RunnerFault, AnUnknownOperatorIsRefusedWhenTheRunnerIsMade) {
  Graph graph;
  graph.nodes = {{NodeKind::kInput, "x", "", {}},
                 {NodeKind::kCall, "aten::no_such_thing", "net", {Value{0, 0}}},
                 {NodeKind::kOutput, "output", "", {Value{1, 0}}}};
  expect_error<c10::ValueError>([&] { Runner{graph}; }, {"aten::no_such_thing", "(net)"});
  graph.nodes[1].target = "aten::relu";
  graph.nodes[1].arguments.push_back(c10::IValue(1));
  expect_error<c10::ValueError>([&] { Runner{graph}; }, {"expected 1 arguments", "got 2"});
}

TEST(Parameters, OverlaidOnesComeFromAboveFirst) {
  const ParameterTable below({{"a", at::zeros({1})}, {"b", at::zeros({1})}});
  OverlaidParameters both(below, {{"b", at::ones({1})}});
  EXPECT_EQ(both.get("a").item<float>(), 0);
  EXPECT_EQ(both.get("b").item<float>(), 1);
  both.set("c", at::full({1}, 2));
  EXPECT_TRUE(both.has("a") && both.has("c") && !both.has("d"));
  expect_error<c10::ValueError>([&] { both.get("d"); }, {"\"d\""});
}

}  // namespace
}  // namespace laconic::graph
