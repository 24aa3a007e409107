#include "laconic/graph/merge.h"

#include "tests/testing/testing.h"

namespace laconic::graph {
namespace {

using laconic::testing::expect_error;

constexpr InputShape kA{3, 11}, kB{5, 13};

Graph with_call(const std::string& target, std::vector<Argument> arguments) {
  arguments.insert(arguments.begin(), Argument(Value{0, 0}));
  Graph graph;
  graph.nodes = {{NodeKind::kInput, "x", "", {}},
                 {NodeKind::kCall, target, "net", std::move(arguments)},
                 {NodeKind::kOutput, "output", "", {Value{1, 0}}}};
  return graph;
}

Argument merged(const c10::IValue& a, const c10::IValue& b) {
  return merge_traces(with_call("aten::f", {a}), kA, with_call("aten::f", {b}), kB)
      .nodes[1]
      .arguments[1];
}

TEST(MergeTraces, NumbersThatFollowTheShapeBecomeSizes) {
  const auto size = [](int64_t a, int64_t b) { return std::get<Size>(merged(a, b).data); };
  EXPECT_EQ(size(3, 5), (Size{1, 1, 0}));
  EXPECT_EQ(size(11, 13), (Size{1, 0, 1}));
  EXPECT_EQ(size(33 * 7, 65 * 7), (Size{7, 1, 1}));
  EXPECT_EQ(size(-121, -169), (Size{-1, 0, 2}));
}

TEST(MergeTraces, EqualConstantsStay) {
  EXPECT_EQ(std::get<c10::IValue>(merged(8, 8).data).toInt(), 8);
  EXPECT_EQ(std::get<c10::IValue>(merged("relu", "relu").data).toStringRef(), "relu");
  EXPECT_TRUE(std::get<c10::IValue>(merged(c10::IValue(), c10::IValue()).data).isNone());
}

TEST(MergeTraces, ListsMixSizesAndConstants) {
  const auto list = std::get<ArgumentList>(
      merged(std::vector<int64_t>{3, 11, 4}, std::vector<int64_t>{5, 13, 4}).data);
  EXPECT_EQ(std::get<Size>(list[0].data), (Size{1, 1, 0}));
  EXPECT_EQ(std::get<Size>(list[1].data), (Size{1, 0, 1}));
  EXPECT_EQ(std::get<c10::IValue>(list[2].data).toInt(), 4);
}

TEST(MergeTracesFault, WhatCannotBeOneGraphNamesTheModule) {
  expect_error<c10::ValueError>([] { merged(10, 12); }, {"\"net\"", "aten::f", "10", "12"});
  expect_error<c10::ValueError>([] { merged(0.5, 0.25); }, {"\"net\"", "depends on the shape"});
  expect_error<c10::ValueError>([] { merged(at::ones({2}), at::zeros({2})); },
                                {"\"net\"", "tensor made in forward"});
  expect_error<c10::ValueError>(
      [] { merge_traces(with_call("aten::f", {}), kA, with_call("aten::g", {}), kB); },
      {"other operators", "aten::f", "aten::g"});
  Graph longer = with_call("aten::f", {});
  longer.nodes.push_back({NodeKind::kParameter, "w", "", {}});
  expect_error<c10::ValueError>([&] { merge_traces(with_call("aten::f", {}), kA, longer, kB); },
                                {"3 operators", "4 for"});
}

}  // namespace
}  // namespace laconic::graph
