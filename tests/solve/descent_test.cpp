#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <nlohmann/json.hpp>

#include "laconic/calibrate/fidelity.h"
#include "laconic/quant/quantizer/block_formats.h"
#include "laconic/solve/coordinate_descent/coordinate_descent.h"
#include "laconic/solve/decoupleq/decoupleq.h"
#include "laconic/solve/half_quadratic/half_quadratic.h"
#include "tests/solve/problems.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::correlated_inputs;
using laconic::testing::expect_error;
using laconic::testing::int_spec;
using laconic::testing::mismatched_layer;

LayerProblem layer_of(const QuantSpec& spec) {
  at::set_num_threads(1);  // more wait for each other longer than they compute
  auto problem = mismatched_layer(spec, 16, 256).problem;
  problem.mismatch = at::Tensor();
  return problem;
}

double lost_by(const LayerProblem& problem, const LayerSolution& solution) {
  const auto q = dequantize(problem.spec, solution.codes, solution.parameters);
  return relative_output_error(problem.weight, q, problem.hessian);
}

double lost_by(const LayerProblem& problem, const std::string& solver) {
  const Solver& row = find_solver(solver);
  return lost_by(problem, row.solve(problem, row.default_options()));
}

QuantSpec with_float_zero_point(int64_t bits, const Granularity& granularity) {
  return int_spec(bits, granularity)
      .let(IntFormat{.bit_width = bits, .is_signed = false}, MinMax{}, FloatZeroPoint{});
}

std::vector<QuantSpec> descent_specs() {
  return {int_spec(2, PerGroup{.axis = 1, .group_size = 64}),
          int_spec(3, PerChannel{0}),
          int_spec(3, PerTensor{}),
          with_float_zero_point(2, PerGroup{.axis = 1, .group_size = 32}),
          super_block_with_minimum({2, 16, 4, 16}),
          super_block({3, 16, 6, 16}),
          mx(e2m1()),
          nvfp4()};
}

TEST(CoordinateDescent, NeverRaisesTheErrorOfItsStart) {
  for (const QuantSpec& spec : descent_specs()) {
    SCOPED_TRACE(to_string(spec));
    const auto problem = layer_of(spec);
    for (const char* start : {"nearest", "gptq"}) {
      SCOPED_TRACE(start);
      const auto solved = coordinate_descent::solve(problem, {start, 3});
      EXPECT_LT(lost_by(problem, solved), lost_by(problem, start));
      EXPECT_TRUE(at::equal(solved.parameters.scale,
                            find_solver(start).solve(problem, {}).parameters.scale));
    }
  }
}

TEST(CoordinateDescent, EndsWhereNoSingleCodeCanChangeForTheBetter) {
  const auto problem = layer_of(int_spec(3, PerChannel{0}));
  const auto solved = coordinate_descent::solve(problem, {"nearest", 1000});
  const double least = lost_by(problem, solved);
  for (int64_t j = 0; j < 256; j += 15) {
    for (const int64_t step : {-1, 1}) {
      LayerSolution other = solved;
      other.codes = solved.codes.clone();
      other.codes.select(1, j).add_(step).clamp_(-4, 3);
      EXPECT_GE(lost_by(problem, other), least * (1 - 1e-5)) << j;
    }
  }
}

TEST(Decoupleq, NeverRaisesTheErrorAndMovesScales) {
  for (const QuantSpec& spec :
       {int_spec(2, PerGroup{.axis = 1, .group_size = 64}), int_spec(3, PerChannel{0}),
        with_float_zero_point(2, PerGroup{.axis = 1, .group_size = 32}),
        with_float_zero_point(3, PerChannel{0})}) {
    SCOPED_TRACE(to_string(spec));
    const auto problem = layer_of(spec);
    const double start = lost_by(problem, "gptq");
    const double codes_alone = lost_by(problem, "coordinate_descent");
    const double both = lost_by(problem, "decoupleq");
    EXPECT_LT(both, 0.98 * codes_alone);
    EXPECT_LT(codes_alone, start);
  }
}

TEST(Decoupleq, ScalesAreWhereTheGradientIsZero) {
  const auto problem = layer_of(with_float_zero_point(3, PerChannel{0}));
  const auto solved = decoupleq::solve(problem, {"gptq", 1, 1});
  const double least = lost_by(problem, solved);
  const auto refitted = decoupleq::solve(problem, {"gptq", 12, 50});
  const double final_error = lost_by(problem, refitted);
  EXPECT_LE(final_error, least);
  for (const double factor : {0.999, 1.001}) {
    LayerSolution other = refitted;
    other.parameters.scale = refitted.parameters.scale * factor;
    EXPECT_GE(lost_by(problem, other), final_error * (1 - 1e-4));
    other = refitted;
    other.parameters.zero_point = refitted.parameters.zero_point + (factor - 1);
    EXPECT_GE(lost_by(problem, other), final_error * (1 - 1e-4));
  }
}

TEST(Decoupleq, RefusesScalesThatMayNotMove) {
  const auto refuse = [](const QuantSpec& spec, const std::vector<std::string>& words) {
    expect_error<c10::ValueError>([&] { decoupleq::solve(layer_of(spec), {}); }, words);
  };
  refuse(mx(e2m1()), {"[decoupleq]", "any float", "coordinate_descent"});
  refuse(int_spec(4, PerTensor{}), {"[decoupleq]", "row or group"});
  expect_error<c10::ValueError>(
      [] {
        decoupleq::check_options({{"start", "gtpq"}});
      },
      {"start", "gtpq", "gptq"});
}

/// Numbers with heavy tails: Student's t with 4 degrees of freedom.
at::Tensor heavy_tails(at::IntArrayRef shape) {
  at::manual_seed(5);
  const auto spread = at::randn({4, shape[0], shape[1]}).square().mean(0).sqrt();
  return at::randn(shape) / spread;
}

LayerProblem without_data(const at::Tensor& weight, const QuantSpec& spec) {
  return {.name = "layer", .weight = weight, .spec = spec, .hessian = {}, .importance = {}};
}

double p_error(const LayerProblem& problem, const LayerSolution& solution, double p) {
  const auto q = dequantize(problem.spec, solution.codes, solution.parameters);
  return (problem.weight - q).abs().pow(p).mean().item<double>();
}

TEST(HalfQuadratic, LowersTheNormOfHeavyTailedWeights) {
  for (const QuantSpec& spec : {with_float_zero_point(3, PerGroup{.axis = 1, .group_size = 64}),
                                with_float_zero_point(3, PerChannel{0}),
                                int_spec(3, PerGroup{.axis = 1, .group_size = 64})}) {
    SCOPED_TRACE(to_string(spec));
    const auto problem = without_data(heavy_tails({64, 256}), spec);
    const auto nearest = find_solver("nearest").solve(problem, {});
    const auto solved = half_quadratic::solve(problem, {});
    EXPECT_LT(p_error(problem, solved, 0.7), 0.99 * p_error(problem, nearest, 0.7));
  }
}

TEST(HalfQuadratic, NoGroupIsWorseThanByTheStatistic) {
  const auto spec = with_float_zero_point(2, PerGroup{.axis = 1, .group_size = 32});
  const auto problem = without_data(heavy_tails({32, 128}), spec);
  const auto loss = [&](const LayerSolution& solution) {
    const auto q = dequantize(spec, solution.codes, solution.parameters);
    return (problem.weight - q).abs().pow(0.7).view({32, 4, 32}).sum(2);
  };
  const auto nearest = find_solver("nearest").solve(problem, {});
  const auto solved = half_quadratic::solve(problem, {.iterations = 3, .beta = 0.5});
  EXPECT_TRUE(loss(solved).le(loss(nearest) * (1 + 1e-5)).all().item<bool>());
}

TEST(HalfQuadratic, RefusesWhatItCannotMove) {
  const auto refuse = [](const QuantSpec& spec, const std::vector<std::string>& words) {
    const auto problem = without_data(at::randn({4, 256}), spec);
    expect_error<c10::ValueError>([&] { half_quadratic::solve(problem, {}); }, words);
  };
  refuse(mx(e2m1()), {"[half_quadratic]", "any float"});
  refuse(int_spec(4, PerTensor{}), {"[half_quadratic]", "row or group"});
  refuse(with_float_zero_point(4, PerChannel{0}).let(IntegerZeroPoint{}),
         {"[half_quadratic]", "zero_point"});
}

}  // namespace
}  // namespace laconic
