#include "laconic/solve/decoupleq/decoupleq.h"

#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>

#include "laconic/file/json/options.h"
#include "laconic/solve/descent/quadratic.h"

namespace laconic::decoupleq {
namespace {

constexpr const char* kName = "decoupleq";

DecoupleqOptions parse(const nlohmann::json& options) {
  const auto all = with_defaults(kName, options, default_options());
  return {descent::start_option(kName, all), integer_option(kName, all, "rounds", 1, 1'000'000),
          integer_option(kName, all, "passes", 1, 1'000'000)};
}

void check_scales(const LayerProblem& problem) {
  const QuantSpec& spec = problem.spec;
  const auto rule = statistic_of(spec.scale);
  TORCH_CHECK_VALUE(
      rule && std::holds_alternative<AnyFloat>(rule->restriction) && !problem.parameters,
      "[decoupleq] layer ", problem.name, ": expected scales that may be any float, got ",
      to_string(spec), ". Set restriction to float, or choose the solver coordinate_descent.");
  const auto* channel = std::get_if<PerChannel>(&spec.granularity);
  const bool is_row = channel != nullptr && (channel->axis == 0 || channel->axis == -2);
  TORCH_CHECK_VALUE(is_row || columns::input_group_size(spec) > 0, "[decoupleq] layer ",
                    problem.name, ": expected a scale for each row or group of its inputs, got ",
                    to_string(spec), ". Choose granularity channel or group with axis 1.");
  const bool has_minimum = std::holds_alternative<StoredMinimum>(spec.zero_point) ||
                           std::holds_alternative<QuantizedMinimum>(spec.zero_point);
  TORCH_CHECK_VALUE(!has_minimum, "[decoupleq] layer ", problem.name,
                    ": a stored minimum does not follow its scale. Set zero_point to float, "
                    "integer or none.");
}

}  // namespace

LayerSolution solve(const LayerProblem& problem, const DecoupleqOptions& options) {
  check_scales(problem);
  descent::Quadratic quadratic(kName, problem, descent::solve_start(options.start, problem));
  for (int64_t round = 0; round < options.rounds; ++round) {
    quadratic.improve_scales();
    quadratic.settle_codes(options.passes);
  }
  return quadratic.best();
}

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options) {
  return solve(problem, parse(options));
}

void check_options(const nlohmann::json& options) { parse(options); }

nlohmann::json default_options() {
  const DecoupleqOptions defaults;
  return {{"start", defaults.start}, {"rounds", defaults.rounds}, {"passes", defaults.passes}};
}

}  // namespace laconic::decoupleq
