#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

#include "laconic/calibrate/fidelity.h"
#include "laconic/solve/solve.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;

TEST(EverySolver, TakesItsOwnDefaultOptionsAndRefusesOthers) {
  for (const Solver& solver : solvers()) {
    SCOPED_TRACE(solver.name);
    const auto options = solver.default_options();
    EXPECT_NO_THROW(solver.check_options(options));
    expect_error<c10::ValueError>(
        [&] {
          solver.check_options({{"no_such_option", 1}});
        },
        {solver.name, "no_such_option"});
    EXPECT_EQ(&find_solver(solver.name), &solver);
  }
}

TEST(EverySolver, SolvesALayerNoWorseThanItsQuantizerAllows) {
  at::manual_seed(3);
  const at::Tensor x = at::randn({64, 16});
  LayerProblem problem{.name = "layer",
                       .weight = at::randn({8, 16}),
                       .spec = {},
                       .hessian = x.t().matmul(x) / 64,
                       .importance = {}};
  problem.spec.format = IntFormat{.bit_width = 8};
  problem.spec.granularity = PerChannel{0};
  for (const Solver& solver : solvers()) {
    SCOPED_TRACE(solver.name);
    const LayerSolution solved = solver.solve(problem, solver.default_options());
    const at::Tensor q = dequantize(problem.spec, solved.codes, solved.parameters);
    EXPECT_EQ(q.sizes(), problem.weight.sizes());
    EXPECT_LT(relative_output_error(problem.weight, q, problem.hessian), 1e-3);
  }
}

TEST(EverySolver, TakesCodesThatNeedMoreThanAScaleOrRefusesThemInOneSentence) {
  at::manual_seed(4);
  const at::Tensor x = at::randn({64, 16});
  LayerProblem problem{.name = "layer",
                       .weight = at::randn({8, 16}),
                       .spec = {},
                       .hessian = x.t().matmul(x) / 64,
                       .importance = at::rand({16})};
  for (const std::string word : {"bitmod4", "two_ternary"}) {
    for (const auto& [name, format] : named_formats())
      if (name == word) problem.spec = QuantSpec{}.let(format, PerChannel{0});
    for (const Solver& solver : solvers()) {
      SCOPED_TRACE(solver.name);
      const auto solve = [&] { return solver.solve(problem, solver.default_options()); };
      if (!takes_format(solver.takes, problem.spec.format)) {
        expect_error<c10::NotImplementedError>([&] { solve(); },
                                               {"layer layer", word, "Choose the solver nearest"});
        continue;
      }
      const auto solved = solve();
      const auto q = dequantize(problem.spec, solved.codes, solved.parameters);
      EXPECT_LT(relative_output_error(problem.weight, q, problem.hessian), 0.1);
    }
  }
  std::vector<std::string> of_tables;
  for (const Solver& solver : solvers())
    if (takes_format(solver.takes, bitmod_tables(3))) of_tables.emplace_back(solver.name);
  EXPECT_EQ(of_tables, (std::vector<std::string>{"nearest", "gptq", "gpfq", "gptaq", "qronos"}));
}

TEST(FindSolver, ListsTheKnownNames) {
  expect_error<c10::ValueError>([] { find_solver("gtpq"); }, {"gtpq", "gptq"});
  expect_error<c10::ValueError>([] { find_solver("zzzzzzz"); }, {"nearest", "gptq"});
}

TEST(RelativeOutputError, IsTheShareOfTheOutputsEnergy) {
  const at::Tensor w = at::tensor({3.0f, 4.0f}).view({1, 2}),
                   q = at::tensor({3.0f, 2.0f}).view({1, 2});
  EXPECT_DOUBLE_EQ(relative_output_error(w, q, at::eye(2)), 4.0 / 25.0);
}

TEST(FollowedOutputError, ComparesWithTheFloatNetworksOutput) {
  at::manual_seed(8);
  const at::Tensor x = at::randn({40, 6}), other = x + 0.1 * at::randn({40, 6});
  const at::Tensor w = at::randn({3, 6}), q = w + 0.1 * at::randn({3, 6});
  const at::Tensor hessian = other.t().matmul(other) / 40;
  const at::Tensor mismatch = other.t().matmul(x - other) / 40;
  const at::Tensor lost = (x - other).t().matmul(x - other) / 40;
  const at::Tensor wanted = x.matmul(w.t()), got = other.matmul(q.t());
  const double expected = ((wanted - got).square().sum() / wanted.square().sum()).item<double>();
  EXPECT_NEAR(followed_output_error(w, q, {hessian, mismatch, lost}), expected, 1e-5 * expected);
}

}  // namespace
}  // namespace laconic
