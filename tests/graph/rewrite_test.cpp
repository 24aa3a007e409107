#include "laconic/graph/rewrite.h"

#include "laconic/graph/run.h"
#include "tests/testing/testing.h"

namespace laconic::graph {
namespace {

using laconic::testing::expect_error;
using ::testing::ElementsAre;

/// relu(x) + x, and a tanh that nothing uses.
Graph small() {
  Graph graph;
  graph.nodes = {
      {NodeKind::kInput, "x", "", {}},
      {NodeKind::kCall, "aten::relu", "a", {Value{0, 0}}},
      {NodeKind::kCall, "aten::tanh", "b", {Value{1, 0}}},
      {NodeKind::kCall, "aten::add.Tensor", "c", {Value{1, 0}, Value{0, 0}, c10::IValue(1)}},
      {NodeKind::kOutput, "output", "", {Value{3, 0}}}};
  return graph;
}

at::Tensor run(const Graph& graph) {
  const Runner runner(graph);
  return runner(at::linspace(-1, 1, 6).reshape({2, 3}), ParameterTable({}));
}

TEST(InsertBefore, PutsNodesInFrontAndRedirectsTheArgument) {
  const Graph graph = small();
  Insertion insertion;
  insertion.nodes = {{NodeKind::kCall, "aten::neg", "new", {Value{0, 0}}},
                     {NodeKind::kCall, "aten::relu", "new", {Value{-1, 0}}}};
  insertion.redirect[1] = Value{-2, 0};
  NodeMap moved;
  const Graph changed = insert_before(graph, {{3, insertion}}, &moved);
  EXPECT_THAT(moved, ElementsAre(0, 1, 2, 5, 6));
  changed.check();
  const auto x = at::linspace(-1, 1, 6).reshape({2, 3});
  EXPECT_TRUE(at::equal(run(changed), x.relu() + (-x).relu()));
  EXPECT_EQ(to_string(graph), to_string(small()));
}

TEST(ReplaceUses, TakesTheOtherValueEverywhere) {
  const auto x = at::linspace(-1, 1, 6).reshape({2, 3});
  EXPECT_TRUE(at::equal(run(replace_uses(small(), {1, 0}, {0, 0})), x + x));
}

TEST(ReplaceUsesFault, AValueThatComesLaterIsRefused) {
  expect_error<c10::ValueError>(
      [] {
        replace_uses(small(), {0, 0}, {3, 0});
      },
      {"%1 aten::relu", "aten::add.Tensor", "before"});
}

TEST(RemoveUnused, DropsWhatNothingUsesAndKeepsTheResult) {
  NodeMap moved;
  const Graph less = remove_unused(small(), &moved);
  EXPECT_EQ(less.size(), 4);
  EXPECT_THAT(moved, ElementsAre(0, 1, -1, 2, 3));
  EXPECT_TRUE(at::equal(run(less), run(small())));
}

TEST(Users, ListsThemInOrder) {
  const auto lists = users(small());
  EXPECT_THAT(lists[0], ElementsAre(1, 3));
  EXPECT_THAT(lists[1], ElementsAre(2, 3));
  EXPECT_TRUE(lists[4].empty());
}

TEST(Graph, PrintsOneNodeALine) {
  EXPECT_EQ(to_string(small()),
            "%0 = input x()\n%1 = aten::relu(%0)  # a\n%2 = aten::tanh(%1)  # b\n"
            "%3 = aten::add.Tensor(%1, %0, 1)  # c\n%4 = output output(%3)\n");
  EXPECT_EQ(describe(small(), 1), "%1 aten::relu (a)");
}

TEST(GraphFault, WhatIsNoGraphIsNamed) {
  const auto refused = [](const std::function<void(Graph&)>& change,
                          const std::vector<std::string>& words) {
    Graph graph = small();
    change(graph);
    expect_error<c10::ValueError>([&] { graph.check(); }, words);
  };
  refused([](Graph& g) { g.nodes[1].arguments[0] = Value{3, 0}; }, {"%1 aten::relu", "before"});
  refused([](Graph& g) { g.nodes[1].arguments[0] = Value{-1, 0}; }, {"%1 aten::relu", "before"});
  refused([](Graph& g) { g.nodes.pop_back(); }, {"output", "got none"});
  refused([](Graph& g) { g.nodes.push_back(g.nodes.back()); }, {"output", "expected one"});
  refused([](Graph& g) { g.nodes[0].kind = NodeKind::kParameter; }, {"input", "got none"});
  refused([](Graph& g) { g.nodes[4].arguments.clear(); }, {"one value as argument"});
  refused([](Graph& g) { g.nodes[0].arguments.push_back(Value{0, 0}); }, {"before"});
  refused(
      [](Graph& g) {
        g.nodes[2] = {NodeKind::kQuantize, "q", "", {Value{1, 0}}};
      },
      {"unknown quantizer", "\"q\""});
  expect_error<c10::ValueError>([] { small().at(9); }, {"no node %9", "0 to 4"});
}

}  // namespace
}  // namespace laconic::graph
