#include "laconic/solve/coordinate_descent/coordinate_descent.h"

#include <nlohmann/json.hpp>

#include "laconic/file/json/options.h"
#include "laconic/solve/descent/quadratic.h"

namespace laconic::coordinate_descent {
namespace {

CoordinateOptions parse(const nlohmann::json& options) {
  const auto all = with_defaults("coordinate_descent", options, default_options());
  return {descent::start_option("coordinate_descent", all),
          integer_option("coordinate_descent", all, "passes", 1, 1'000'000)};
}

}  // namespace

LayerSolution solve(const LayerProblem& problem, const CoordinateOptions& options) {
  descent::Quadratic quadratic("coordinate_descent", problem,
                               descent::solve_start(options.start, problem));
  quadratic.settle_codes(options.passes);
  return quadratic.best();
}

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options) {
  return solve(problem, parse(options));
}

void check_options(const nlohmann::json& options) { parse(options); }

nlohmann::json default_options() {
  const CoordinateOptions defaults;
  return {{"start", defaults.start}, {"passes", defaults.passes}};
}

}  // namespace laconic::coordinate_descent
