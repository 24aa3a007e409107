#include "laconic/graph/match.h"

#include "laconic/graph/run.h"
#include "tests/graph/networks.h"
#include "tests/testing/testing.h"

namespace laconic::graph {
namespace {

using laconic::testing::expect_error;
using testing::AnyNet;
using testing::close;
using ::testing::ElementsAre;
using testing::result_of;
using testing::StackNet;
using testing::table_of;
using testing::trace_net;

Graph stack() {
  StackNet net;
  return trace_net(net);
}

std::vector<std::string> layer_names(const Graph& graph) {
  std::vector<std::string> names;
  for (const LinearLayer& layer : find_linear_layers(graph)) names.push_back(layer.name);
  return names;
}

std::vector<std::string> quantizer_names(const Graph& graph) {
  std::vector<std::string> names;
  for (const auto& [name, unused] : graph.quantizers) names.push_back(name);
  return names;
}

TEST(FindLinearLayers, GivesEachWithItsWeightInOrder) {
  const auto layers = find_linear_layers(stack());
  EXPECT_THAT(layer_names(stack()),
              ElementsAre("blocks.0.up", "blocks.0.down", "blocks.1.up", "blocks.1.down",
                          "blocks.2.up", "blocks.2.down", "head"));
  EXPECT_EQ(layers.at(1).weight_name, "blocks.0.down.weight");
  EXPECT_FALSE(layers.at(1).transposed);
}

TEST(FindLinearLayers, SeesWeightsThatAreStoredTransposed) {
  AnyNet net([](AnyNet& self, const at::Tensor& x) {
    const ModuleScope scope(*self.linear);
    return at::linear(x, self.linear->weight.t());
  });
  const auto layers =
      find_linear_layers(trace_net(net, {.input = "x", .example = AnyNet::example, .rename = {}}));
  ASSERT_EQ(layers.size(), 1u);
  EXPECT_TRUE(layers[0].transposed);
  EXPECT_EQ(layers[0].weight_name, "linear.weight");
}

TEST(FindEmbeddings, GivesTableAndIds) {
  const Graph graph = stack();
  const auto found = find_embeddings(graph);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].name, "embedding");
  EXPECT_EQ(found[0].weight_name, "embedding.weight");
  EXPECT_EQ(found[0].input.node, graph.input());
  EXPECT_EQ(graph.at(found[0].node).target, "aten::embedding");
  EXPECT_TRUE(found[0].is_embedding);
  for (const LinearLayer& layer : find_linear_layers(graph)) EXPECT_FALSE(layer.is_embedding);
}

TEST(FindBlocks, GivesTheNumberedModulesOneAfterTheOther) {
  const Graph graph = stack();
  const auto blocks = find_blocks(graph);
  ASSERT_EQ(blocks.size(), 3u);
  EXPECT_EQ(blocks[0].name, "blocks.0");
  EXPECT_EQ(blocks[0].end, blocks[1].begin);
  EXPECT_EQ(blocks[1].end, blocks[2].begin);
  EXPECT_LT(blocks[2].end, graph.size());
}

TEST(FindBlocks, GivesNoneWithoutNumberedModules) {
  AnyNet net([](AnyNet& self, const at::Tensor& x) { return self.linear(x); });
  EXPECT_TRUE(find_blocks(trace_net(net, {.input = "x", .example = AnyNet::example, .rename = {}}))
                  .empty());
}

TEST(FindBlocksFault, BlocksThatInterleaveAreNamed) {
  Graph graph;
  graph.nodes = {{NodeKind::kInput, "x", "", {}},
                 {NodeKind::kCall, "aten::relu", "b.0", {Value{0, 0}}},
                 {NodeKind::kCall, "aten::relu", "b.1", {Value{1, 0}}},
                 {NodeKind::kCall, "aten::relu", "b.0", {Value{2, 0}}},
                 {NodeKind::kOutput, "output", "", {Value{3, 0}}}};
  expect_error<c10::ValueError>([&] { find_blocks(graph); }, {"b.0", "interleave"});
}

TEST(FindBlocksFault, ABlockThatTwoValuesEnterIsNamed) {
  Graph graph;
  graph.nodes = {{NodeKind::kInput, "x", "", {}},
                 {NodeKind::kCall, "aten::relu", "", {Value{0, 0}}},
                 {NodeKind::kCall, "aten::mul.Tensor", "b.0", {Value{1, 0}, Value{0, 0}}},
                 {NodeKind::kCall, "aten::relu", "b.1", {Value{2, 0}}},
                 {NodeKind::kOutput, "output", "", {Value{3, 0}}}};
  expect_error<c10::ValueError>([&] { find_blocks(graph); }, {"b.0", "got 2"});
}

TEST(PlaceQuantizers, PutsThemOnWeightsAndInputsAndLeavesTheGivenGraph) {
  const Graph graph = stack();
  const std::string before = to_string(graph);
  const Quantizer weight{QuantSpec{}.let(IntFormat{.bit_width = 4}), std::nullopt};
  const Quantizer input{QuantSpec{}, std::nullopt};
  const Graph placed =
      place_quantizers(graph, {{"head", {.weight = weight, .input = input}},
                               {"blocks.1.up", {.weight = std::nullopt, .input = input}}});
  EXPECT_EQ(to_string(graph), before);
  EXPECT_TRUE(graph.quantizers.empty());
  EXPECT_THAT(quantizer_names(placed),
              ElementsAre("blocks.1.up.input", "head.input", "head.weight"));
  EXPECT_EQ(placed.size(), graph.size() + 3);
  placed.check();
  EXPECT_EQ(layer_names(placed), layer_names(graph));
  EXPECT_EQ(find_blocks(placed).size(), 3u);
}

TEST(PlaceQuantizers, ReplacesTheOneThatIsThere) {
  const Graph graph = stack();
  const auto bits = [](int width) {
    return Quantizer{QuantSpec{}.let(IntFormat{.bit_width = width}), std::nullopt};
  };
  const auto weight = [&](int width) {
    return std::map<std::string, LayerQuantizers>{
        {"head", {.weight = bits(width), .input = std::nullopt}}};
  };
  const Graph twice = place_quantizers(place_quantizers(graph, weight(4)), weight(3));
  EXPECT_EQ(twice.size(), graph.size() + 1);
  EXPECT_EQ(twice.quantizers.at("head.weight").spec, bits(3).spec);
}

TEST(PlaceQuantizers, TakesPatternsOfLayerNamesAndALaterOneWins) {
  const Graph graph = stack();
  const auto bits = [](int width) {
    return LayerQuantizers{
        .weight = Quantizer{QuantSpec{}.let(IntFormat{.bit_width = width}), std::nullopt},
        .input = std::nullopt};
  };
  const Graph placed = place_by_patterns(
      graph, std::vector<Placement>{{"blocks.*", bits(4)}, {"re:.*\\.down", bits(8)}});
  EXPECT_EQ(placed.quantizers.size(), 6u);
  EXPECT_EQ(placed.quantizers.at("blocks.2.up.weight").spec, bits(4).weight->spec);
  EXPECT_EQ(placed.quantizers.at("blocks.2.down.weight").spec, bits(8).weight->spec);
}

TEST(PlaceQuantizersFault, ANameOrPatternWithoutALayerIsRefused) {
  const Graph graph = stack();
  expect_error<c10::ValueError>(
      [&] {
        place_quantizers(graph, {{"hed", LayerQuantizers{}}});
      },
      {"\"hed\"", "head"});
  expect_error<c10::ValueError>(
      [&] {
        place_by_patterns(graph, std::vector<Placement>{{"layers.*", {}}});
      },
      {"\"layers.*\"", "matches no linear layer"});
}

TEST(QuantizeInput, RunsAsTheQuantizerDoesByHand) {
  AnyNet net([](AnyNet& self, const at::Tensor& x) { return self.linear(x); });
  const Graph graph = trace_net(net, {.input = "x", .example = AnyNet::example, .rename = {}});
  const QuantSpec spec;
  const Graph placed = quantize_input(graph, find_linear_layers(graph).at(0), {spec, std::nullopt});
  const auto x = at::rand({2, 3, 4});
  EXPECT_TRUE(
      close(result_of(placed, x, table_of(net)), net.linear(fake_quantize_dynamic(spec, x))));
}

}  // namespace
}  // namespace laconic::graph
