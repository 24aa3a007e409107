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

TEST(FindSolver, ListsTheKnownNames) {
  expect_error<c10::ValueError>([] { find_solver("gtpq"); }, {"gtpq", "gptq"});
  expect_error<c10::ValueError>([] { find_solver("zzzzzzz"); }, {"nearest", "gptq"});
}

TEST(RelativeOutputError, IsTheShareOfTheOutputsEnergy) {
  const at::Tensor w = at::tensor({3.0f, 4.0f}).view({1, 2}),
                   q = at::tensor({3.0f, 2.0f}).view({1, 2});
  EXPECT_DOUBLE_EQ(relative_output_error(w, q, at::eye(2)), 4.0 / 25.0);
}

}  // namespace
}  // namespace laconic
