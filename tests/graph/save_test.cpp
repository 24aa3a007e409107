#include "laconic/graph/save.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "laconic/file/safetensors/safetensors.h"
#include "laconic/graph/match.h"
#include "laconic/graph/run.h"
#include "tests/graph/networks.h"
#include "tests/testing/testing.h"

namespace laconic::graph {
namespace {

using laconic::testing::expect_error;
using laconic::testing::TemporaryDirectory;
using testing::result_of;
using testing::StackNet;
using testing::table_of;
using testing::trace_net;
using Json = nlohmann::json;

Graph through_file(const Graph& graph) {
  const TemporaryDirectory directory;
  save_graph(graph, directory / "graph.safetensors");
  return load_graph(directory / "graph.safetensors");
}

/// A network with static and dynamic quantizers on it.
Graph quantized(StackNet& net) {
  const Graph graph = trace_net(net);
  std::map<std::string, LayerQuantizers> layers;
  for (const LinearLayer& layer : find_linear_layers(graph)) {
    const QuantSpec spec = QuantSpec{}.let(IntFormat{.bit_width = 4}, PerChannel{.axis = 0});
    const auto weight = table_of(net).get(layer.weight_name).detach();
    layers[layer.name] = {.weight = Quantizer{spec, find_parameters(spec, weight)},
                          .input = Quantizer{QuantSpec{}, std::nullopt}};
  }
  return place_quantizers(graph, layers);
}

TEST(SaveGraph, GivesTheSameGraphAndTheSameNumbersBack) {
  StackNet net;
  const Graph graph = quantized(net), back = through_file(graph);
  EXPECT_EQ(to_string(back), to_string(graph));
  ASSERT_EQ(back.quantizers.size(), graph.quantizers.size());
  for (const auto& [name, quantizer] : graph.quantizers) {
    const Quantizer& other = back.quantizers.at(name);
    EXPECT_EQ(other.spec, quantizer.spec) << name;
    ASSERT_EQ(other.parameters.has_value(), quantizer.parameters.has_value()) << name;
    if (!quantizer.parameters) continue;
    EXPECT_TRUE(at::equal(other.parameters->scale, quantizer.parameters->scale)) << name;
  }
  const auto ids = at::randint(20, {2, 6}, at::kLong);
  EXPECT_TRUE(at::equal(result_of(back, ids, table_of(net)), result_of(graph, ids, table_of(net))));
}

/// input -> identity with `constant` beside it -> output.
Graph with_constant(const Argument& constant) {
  Graph graph;
  graph.nodes = {
      {NodeKind::kInput, "x", "", {}},
      {NodeKind::kCall, "aten::add.Tensor", "net", {Value{0, 0}, constant, c10::IValue(1)}},
      {NodeKind::kOutput, "output", "", {Value{1, 0}}}};
  return graph;
}

TEST(SaveGraph, KeepsEveryKindOfConstant) {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<Argument> constants = {
      c10::IValue(),
      c10::IValue(true),
      c10::IValue(int64_t{-3}),
      c10::IValue(0.1),
      c10::IValue(2.0),
      c10::IValue(-infinity),
      c10::IValue("tanh"),
      c10::IValue(std::vector<int64_t>{1, -2}),
      c10::IValue(std::vector<double>{0.5, infinity}),
      c10::IValue(c10::List<bool>({true, false})),
      c10::IValue(c10::Device("cpu")),
      c10::IValue(at::rand({2, 3})),
      Size{7, 1, 2},
      ArgumentList{c10::IValue(4), Size{1, 0, 1}, Value{0, 0}}};
  for (const Argument& constant : constants) {
    const Graph graph = with_constant(constant), back = through_file(graph);
    EXPECT_EQ(to_string(back), to_string(graph));
    const auto* before = std::get_if<c10::IValue>(&constant.data);
    if (before == nullptr) continue;
    const auto& after = std::get<c10::IValue>(back.nodes[1].arguments[1].data);
    EXPECT_EQ(before->tagKind(), after.tagKind());
    if (before->isTensor()) {
      EXPECT_TRUE(at::equal(before->toTensor(), after.toTensor()));
    }
  }
}

TEST(SaveGraphFault, AConstantWithoutAWrittenFormNamesTheNode) {
  const TemporaryDirectory directory;
  expect_error<c10::ValueError>(
      [&] { save_graph(with_constant(c10::IValue(c10::complex<double>(1, 2))), directory / "g"); },
      {"node.1.1", "cannot be saved"});
  EXPECT_FALSE(std::filesystem::exists(directory / "g"));
}

/// What the loader says to a file with this change in its JSON.
void expect_refused(const std::function<void(Json&)>& change,
                    const std::vector<std::string>& words) {
  const TemporaryDirectory directory;
  const auto path = directory / "graph.safetensors";
  Graph graph = with_constant(c10::IValue(2));
  graph.nodes.insert(graph.nodes.end() - 1, {NodeKind::kQuantize, "q", "", {Value{1, 0}}});
  graph.nodes.back().arguments[0] = Value{2, 0};
  graph.quantizers["q"] = {QuantSpec{}, QuantParameters{at::ones({}), {}}};
  save_graph(graph, path);
  Json json = Json::parse(SafetensorsFile::open(path)->metadata().at("laconic.graph"));
  change(json);
  write_safetensors(path, {{"quantizer.q.scale", at::ones({})}}, {{"laconic.graph", json.dump()}});
  SCOPED_TRACE(json.dump());
  auto all = words;
  all.push_back(path.string());
  expect_error<c10::ValueError>([&] { load_graph(path); }, all);
}

TEST(LoadGraphFault, AFieldThatIsAbsentOrOfAnotherKindIsNamed) {
  expect_refused([](Json& j) { j.erase("nodes"); }, {"\"nodes\""});
  expect_refused([](Json& j) { j["nodes"] = 3; }, {"list of nodes"});
  expect_refused([](Json& j) { j["format_version"] = 2; }, {"format_version", "Update"});
  expect_refused([](Json& j) { j["nodes"][1].erase("target"); }, {"node 1", "\"target\""});
  expect_refused([](Json& j) { j["nodes"][1]["module"] = 1; }, {"node 1", "\"module\"", "a text"});
  expect_refused([](Json& j) { j["nodes"][1] = Json::array(); }, {"node 1", "\"kind\""});
  expect_refused([](Json& j) { j["nodes"][1]["kind"] = "jump"; }, {"node 1", "\"jump\""});
  expect_refused([](Json& j) { j["nodes"][1]["arguments"] = "x"; }, {"node 1", "list"});
}

TEST(LoadGraphFault, AnArgumentThatIsNoneIsNamed) {
  const auto argument = [](Json value, const std::vector<std::string>& words) {
    expect_refused([&](Json& j) { j["nodes"][1]["arguments"][1] = value; }, words);
  };
  argument({{"value", {0}}}, {"node 1", "[node, output]"});
  argument({{"value", {0, 99999999}}}, {"node 1", "from 0 to 65536"});
  argument({{"value", {7, 0}}}, {"%1 aten::add.Tensor", "before"});
  argument({{"value", {-1, 0}}}, {"node 1", "from 0"});
  argument({{"size", {1, 40, 0}}}, {"node 1", "from 0 to 2"});
  argument({{"list", {{{"list", Json::array()}}}}}, {"node 1", "no list inside"});
  argument({{"tensor", "absent"}}, {"node 1", "name of a tensor"});
  argument({{"device", "moon"}}, {"node 1", "a device"});
  argument({{"ints", {0.5}}}, {"node 1", "whole number"});
  argument({{"bools", {1}}}, {"node 1", "truth"});
  argument({{"floats", {"big"}}}, {"node 1", "\"inf\""});
  argument({{"code", "rm"}}, {"node 1", "one of value"});
  argument(Json::array({1}), {"node 1", "one key"});
  argument(uint64_t{1} << 63, {"node 1", "whole number"});
}

TEST(LoadGraphFault, AnOperatorThatDoesMoreThanComputeIsRefused) {
  const auto target = [](const char* name, const std::vector<std::string>& words) {
    expect_refused([&](Json& j) { j["nodes"][1]["target"] = name; }, words);
  };
  target("aten::add_.Tensor", {"node 1", "aten::add_.Tensor", "only compute"});
  target("aten::from_file", {"aten::from_file", "only compute"});
  target("aten::nothing", {"unknown operator"});
  target("aten::relu", {"expected 1 arguments, got 3"});
}

TEST(LoadGraphFault, AQuantizerWithoutItsPartsIsNamed) {
  expect_refused([](Json& j) { j["quantizers"].erase("q"); }, {"unknown quantizer \"q\""});
  expect_refused([](Json& j) { j["quantizers"]["q"].erase("spec"); }, {"quantizer \"q\"", "spec"});
  expect_refused([](Json& j) { j["quantizers"]["q"]["spec"]["bits"] = 99; }, {"quantizer \"q\""});
  expect_refused([](Json& j) { j["quantizers"]["q"]["has_parameters"] = 1; }, {"has_parameters"});
  expect_refused([](Json& j) { j["quantizers"]["p"] = j["quantizers"]["q"]; },
                 {"quantizer.p.scale"});
}

TEST(LoadGraphFault, AFileOfAnotherKindIsNamed) {
  const TemporaryDirectory directory;
  write_safetensors(directory / "a", {{"x", at::ones({2})}});
  expect_error<c10::ValueError>([&] { load_graph(directory / "a"); },
                                {(directory / "a").string(), "laconic.graph", "save_graph"});
  write_safetensors(directory / "b", {}, {{"laconic.graph", "{\"nodes\": ["}});
  expect_error<c10::ValueError>([&] { load_graph(directory / "b"); }, {(directory / "b").string()});
}

}  // namespace
}  // namespace laconic::graph
