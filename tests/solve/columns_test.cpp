#include "laconic/solve/columns/columns.h"

#include <ATen/Parallel.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "laconic/calibrate/fidelity.h"
#include "laconic/quant/quantizer/block_formats.h"
#include "laconic/solve/columns/staircase.h"
#include "laconic/solve/gpfq/reference.h"
#include "laconic/solve/gptaq/reference.h"
#include "laconic/solve/gptq/reference.h"
#include "laconic/solve/nearest/nearest.h"
#include "laconic/solve/qronos/reference.h"
#include "tests/solve/problems.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using columns::GroupScales;
using columns::Options;
using laconic::testing::expect_error;
using laconic::testing::followed_error;
using laconic::testing::int_spec;
using laconic::testing::mismatched_layer;
using laconic::testing::share_of_different;
using ::testing::HasSubstr;

/// One solver of the shared engine: the fast way and the paper's.
struct Method {
  std::string name;
  std::function<LayerSolution(const LayerProblem&, const Options&)> solve, reference;
};

const std::vector<Method>& methods() {
  static const std::vector<Method> all = {{"gptq", gptq::solve, gptq::solve_reference},
                                          {"gpfq", gpfq::solve, gpfq::solve_reference},
                                          {"gptaq",
                                           [](const LayerProblem& problem, const Options& options) {
                                             return gptaq::solve(problem, {options});
                                           },
                                           [](const LayerProblem& problem, const Options& options) {
                                             return gptaq::solve_reference(problem, {options});
                                           }},
                                          {"qronos", qronos::solve, qronos::solve_reference}};
  return all;
}

/// Kinds of numbers and scales that a weight can have.
std::vector<QuantSpec> every_kind() {
  QuantSpec asymmetric = int_spec(3, PerGroup{1, 32});
  asymmetric.format = IntFormat{.bit_width = 3, .is_signed = false};
  asymmetric.scale = StatisticScale{{.statistic = MinMax{}}};
  asymmetric.zero_point = IntegerZeroPoint{};
  QuantSpec table = int_spec(4, PerGroup{1, 64});
  table.format = nf4();
  const QuantSpec chosen =
      int_spec(3, PerGroup{1, 32}).let(Format(bitmod_tables(3)), Threshold::kFullRange);
  QuantSpec ternary = int_spec(2, PerChannel{0});
  ternary.format = TernaryFormat{};
  return {int_spec(4, PerTensor{}),
          int_spec(3, PerChannel{0}),
          int_spec(2, PerGroup{1, 32}),
          int_spec(4, PerChannel{1}),
          asymmetric,
          mx(e2m1()),
          mx(e4m3()),
          nvfp4(),
          table,
          chosen,
          chosen.let(Format(bitmod_tables(4)), PerChannel{0}),
          ternary};
}

/// Dequantized: a minifloat's zero has two codes.
at::Tensor value_of(const LayerProblem& problem, const LayerSolution& solution) {
  return dequantize(problem.spec, solution.codes, solution.parameters);
}

TEST(EveryColumnSolver, EqualsItsReferenceForEveryFormatAndOrder) {
  for (const Method& method : methods()) {
    bool activation_order = false;
    for (const QuantSpec& spec : every_kind()) {
      SCOPED_TRACE(method.name + " " + to_string(spec));
      const auto layer = mismatched_layer(spec, /*rows=*/66);
      const Options options{.activation_order = activation_order};
      activation_order = !activation_order;
      const LayerSolution fast = method.solve(layer.problem, options),
                          slow = method.reference(layer.problem, options);
      EXPECT_EQ(fast.codes.scalar_type(), slow.codes.scalar_type());
      EXPECT_TRUE(at::equal(fast.parameters.scale, slow.parameters.scale));
      // A weight near the middle of two codes may fall either way in float32, and all after it in
      // its row follow; the more codes there are, the more do.
      EXPECT_LE(share_of_different(value_of(layer.problem, fast), value_of(layer.problem, slow)),
                stored_bits(spec.format) > 4 ? 0.08 : 0.03);
      EXPECT_NEAR(followed_error(layer, fast) / followed_error(layer, slow), 1.0, 0.01);
    }
  }
}

TEST(EveryColumnSolver, FindsScalesOfGroupsOnTheWay) {
  const auto layer = mismatched_layer(int_spec(3, PerGroup{1, 32}));
  for (const Method& method : methods()) {
    SCOPED_TRACE(method.name);
    const LayerSolution before = method.solve(layer.problem, {}),
                        during =
                            method.solve(layer.problem, {.group_scales = GroupScales::kDuring});
    EXPECT_GT(share_of_different(before.parameters.scale, during.parameters.scale), 0.5);
    EXPECT_LT(followed_error(layer, during), 1.1 * followed_error(layer, before));
  }
}

TEST(EveryColumnSolver, FreezesTheTableOfAGroupWhenItBegins) {
  const QuantSpec spec =
      int_spec(3, PerGroup{1, 32}).let(Format(bitmod_tables(3)), Threshold::kFullRange);
  const auto layer = mismatched_layer(spec);
  const LayerSolution nearest = nearest::solve(layer.problem, {});
  for (const Method& method : methods()) {
    SCOPED_TRACE(method.name);
    const LayerSolution before = method.solve(layer.problem, {}),
                        during =
                            method.solve(layer.problem, {.group_scales = GroupScales::kDuring});
    EXPECT_TRUE(at::equal(before.parameters.choice, nearest.parameters.choice));
    EXPECT_GT(share_of_different(before.parameters.choice, during.parameters.choice), 0.1);
    EXPECT_EQ(during.parameters.choice.scalar_type(), at::kByte);
    for (const LayerSolution& found : {before, during})
      EXPECT_LT(followed_error(layer, found), followed_error(layer, nearest));
  }
}

TEST(EveryColumnSolver, WithTheIdentityAsHessianIsRoundToNearest) {
  for (const Method& method : methods()) {
    for (const QuantSpec& spec : every_kind()) {
      SCOPED_TRACE(method.name + " " + to_string(spec));
      LayerProblem problem = mismatched_layer(spec).problem;
      problem.hessian = at::eye(128);
      problem.mismatch = at::Tensor();
      const LayerSolution solved = method.solve(problem, {}), nearest = nearest::solve(problem, {});
      EXPECT_TRUE(at::equal(value_of(problem, solved), value_of(problem, nearest)));
      EXPECT_TRUE(at::equal(solved.parameters.scale, nearest.parameters.scale));
    }
  }
}

TEST(EveryColumnSolver, WithoutMismatchAZeroMatrixAndNoneAreTheSame) {
  for (const Method& method : methods()) {
    SCOPED_TRACE(method.name);
    LayerProblem problem = mismatched_layer(int_spec(3, PerChannel{0})).problem;
    problem.mismatch = at::Tensor();
    const at::Tensor none = method.solve(problem, {}).codes;
    problem.mismatch = at::zeros({128, 128});
    EXPECT_TRUE(at::equal(method.solve(problem, {}).codes, none));
  }
}

TEST(EveryColumnSolver, NeitherBlockSizeNorThreadsChangeTheResult) {
  const int before = at::get_num_threads();
  for (const Method& method : methods()) {
    SCOPED_TRACE(method.name);
    const auto layer = mismatched_layer(int_spec(3, PerChannel{0}), 70, 320);
    at::set_num_threads(1);
    const at::Tensor expected = method.solve(layer.problem, {}).codes;
    at::set_num_threads(3);
    for (const int64_t block_size : {7, 100, 1000}) {
      const auto codes = method.solve(layer.problem, {.block_size = block_size}).codes;
      EXPECT_TRUE(at::equal(codes, expected)) << block_size;
    }
    at::set_num_threads(before);
  }
}

TEST(EveryColumnSolver, KeepsFrozenScales) {
  for (const Method& method : methods()) {
    SCOPED_TRACE(method.name);
    LayerProblem problem = mismatched_layer(mx(e2m1())).problem;
    problem.parameters = nearest::solve(problem, {}).parameters;
    problem.parameters->scale = problem.parameters->scale * 0.5;
    EXPECT_TRUE(at::equal(method.solve(problem, {}).parameters.scale, problem.parameters->scale));
  }
}

TEST(EveryColumnSolver, WeightsOfInputsThatAreAlwaysZeroBecomeZero) {
  for (const Method& method : methods()) {
    SCOPED_TRACE(method.name);
    LayerProblem problem = mismatched_layer(int_spec(4, PerChannel{0})).problem;
    for (at::Tensor* matrix : {&problem.hessian, &problem.mismatch}) {
      matrix->select(0, 5).zero_();
      matrix->select(1, 5).zero_();
    }
    const LayerSolution solved = method.solve(problem, {});
    EXPECT_EQ(solved.codes.select(1, 5).abs().sum().item<int64_t>(), 0);
    EXPECT_THAT(solved.notes.at(0), HasSubstr("1 of 128 inputs are always zero"));
    problem.hessian.zero_();
    problem.mismatch.zero_();
    EXPECT_EQ(method.solve(problem, {}).codes.abs().sum().item<int64_t>(), 0);
  }
}

TEST(EveryColumnSolver, SolvesASingularHessian) {
  for (const Method& method : methods()) {
    SCOPED_TRACE(method.name);
    auto layer = mismatched_layer(int_spec(4, PerChannel{0}));
    layer.x = layer.x.narrow(0, 0, 20);  // fewer samples than inputs
    layer.quantized_x = layer.quantized_x.narrow(0, 0, 20);
    const at::Tensor& x = layer.quantized_x;
    layer.problem.hessian = x.t().matmul(x) / 20;
    layer.problem.mismatch = x.t().matmul(layer.x - x) / 20;
    const double solved = followed_error(layer, method.solve(layer.problem, {}));
    EXPECT_LT(solved, followed_error(layer, nearest::solve(layer.problem, {})));
  }
}

TEST(EveryColumnSolver, NamesTheLayerOfWhatIsNotFinite) {
  for (const Method& method : methods()) {
    SCOPED_TRACE(method.name);
    LayerProblem problem = mismatched_layer(int_spec(4, PerChannel{0})).problem;
    problem.name = "model.layers.3.mlp.up_proj";
    problem.mismatch[3][4] = std::nan("");
    expect_error<c10::ValueError>([&] { method.solve(problem, {}); },
                                  {"model.layers.3.mlp.up_proj", "mismatch", "NaN", method.name});
    problem.mismatch = at::zeros({3, 3});
    expect_error<c10::ValueError>([&] { method.solve(problem, {}); },
                                  {"model.layers.3.mlp.up_proj", "[128, 128]", "[3, 3]"});
    problem.mismatch = at::Tensor();
    problem.hessian[3][4] = INFINITY;
    expect_error<c10::ValueError>([&] { method.solve(problem, {}); },
                                  {"model.layers.3.mlp.up_proj", "Hessian", method.name});
  }
}

TEST(EveryColumnSolver, RefusesWhatItCannotDo) {
  for (const Method& method : methods()) {
    SCOPED_TRACE(method.name);
    LayerProblem problem = mismatched_layer(nvfp4()).problem;
    expect_error<c10::ValueError>(
        [&] { method.solve(problem, {.group_scales = GroupScales::kDuring}); },
        {"layer", "quantized together", "before"});
    problem.spec = int_spec(12, PerChannel{0});
    expect_error<c10::ValueError>([&] { method.solve(problem, {}); }, {"8 bits", "int12"});
    problem.spec = int_spec(4, PerChannel{0}).let(Floor{});
    expect_error<c10::ValueError>([&] { method.solve(problem, {}); },
                                  {"layer", "rounding floor", "half_even"});
  }
}

TEST(Gptaq, WithoutMismatchIsGptqBitForBit) {
  for (const QuantSpec& spec : every_kind()) {
    SCOPED_TRACE(to_string(spec));
    LayerProblem problem = mismatched_layer(spec).problem;
    problem.mismatch.zero_();
    EXPECT_TRUE(at::equal(gptaq::solve(problem, {}).codes, gptq::solve(problem, {}).codes));
  }
}

TEST(Qronos, WithoutMismatchIsGptqWithTheSameDamping) {
  LayerProblem problem = mismatched_layer(int_spec(3, PerChannel{0})).problem;
  problem.mismatch.zero_();
  const double largest = qronos::largest_eigenvalue(problem.hessian);
  const double mean = problem.hessian.diagonal().mean().item<double>();
  const Options options{.damping = 1e-3};
  const auto codes = gptq::solve(problem, {.damping = 1e-3 * largest / mean}).codes;
  // The factor of one is in float64, of the other in float32.
  EXPECT_LE(share_of_different(qronos::solve(problem, options).codes, codes), 0.01);
}

TEST(Gpfq, EqualsTheFormThatKeepsTheResidual) {
  const QuantSpec spec = int_spec(3, PerTensor{});
  const auto layer = mismatched_layer(spec);
  const LayerSolution solved = gpfq::solve_reference(layer.problem, {});
  const double s = solved.parameters.scale.item<double>();
  const at::Tensor w = layer.problem.weight.to(at::kDouble), x = layer.x.to(at::kDouble),
                   quantized_x = layer.quantized_x.to(at::kDouble);
  at::Tensor u = at::zeros({x.size(0), w.size(0)}, at::kDouble);
  at::Tensor codes = at::zeros_like(w);
  for (int64_t t = 0; t < w.size(1); ++t) {
    const at::Tensor column = quantized_x.select(1, t);
    u += x.select(1, t).outer(w.select(1, t));
    const at::Tensor best = column.matmul(u) / column.dot(column);
    const at::Tensor code = (best / s).round().clamp(-4, 3);
    codes.select(1, t).copy_(code);
    u -= column.outer(code * s);
  }
  // The statistics are float32.
  EXPECT_LE(share_of_different(solved.codes, codes), 0.01);
}

TEST(EveryColumnSolver, IsOrderedAsInTheLiteratureWhereTheInputsDiffer) {
  // At 2 bits a channel what is cut off says more than the method does.
  for (const int64_t bits : {3, 4}) {
    SCOPED_TRACE(bits);
    const auto layer = mismatched_layer(int_spec(bits, PerChannel{0}));
    const double nearest = followed_error(layer, nearest::solve(layer.problem, {}));
    const double gptq = followed_error(layer, gptq::solve(layer.problem, {}));
    const double gptaq = followed_error(layer, gptaq::solve(layer.problem, {}));
    const double gpfq = followed_error(layer, gpfq::solve(layer.problem, {}));
    const double qronos = followed_error(layer, qronos::solve(layer.problem, {}));
    EXPECT_GT(nearest, gptq);
    EXPECT_GT(gptq, gptaq);
    EXPECT_GT(gptaq, qronos);
    EXPECT_GT(gpfq, qronos);
  }
}

TEST(Staircase, IsTheRoundingOfEveryFormatAlsoBetweenTwoLevels) {
  for (const auto& [name, format] : named_formats()) {
    if (stored_bits(format) > 8 || element_range(format).high > 1e30 || is_joint(format)) continue;
    SCOPED_TRACE(name);
    const auto stairs = columns::staircase(format);
    ASSERT_TRUE(stairs.levels.defined() || std::holds_alternative<IntFormat>(format));
    if (!stairs.levels.defined()) continue;
    const at::Tensor& levels = stairs.levels;
    const int64_t steps = levels.size(0) - 1;
    const at::Tensor middles = (levels.narrow(0, 0, steps) + levels.narrow(0, 1, steps)) / 2;
    const float far = levels.abs().max().item<float>() * 2;
    const at::Tensor x = at::cat({levels, middles, at::linspace(-far, far, 1001)});
    const QuantSpec spec{.format = format, .scale = ConstantScale{}};
    const QuantParameters one{at::scalar_tensor(1.0f), {}};
    const at::Tensor place = (x.unsqueeze(1) > stairs.thresholds.unsqueeze(0)).sum(1);
    EXPECT_TRUE(at::equal(levels.index_select(0, place),
                          dequantize(spec, quantize_codes(spec, x, one), one)));
    EXPECT_TRUE(at::equal(stairs.codes, quantize_codes(spec, levels, one).to(at::kInt)));
  }
}

}  // namespace
}  // namespace laconic
