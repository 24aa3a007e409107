#include "laconic/solve/qronos/qronos.h"

#include <nlohmann/json.hpp>

#include "laconic/kernel/panel_matrix.h"
#include "laconic/kernel/panels.h"
#include "laconic/solve/columns/columns.h"
#include "laconic/solve/qronos/reference.h"

namespace laconic::qronos {
namespace {

columns::OptionRules option_rules() { return {.solver = "qronos", .has_live_scales = true}; }

/// The weight plus what each column adds to follow the float inputs: all of the mismatch for the
/// first, which later columns cannot help; for the others what is left when those behind follow
/// too.
at::Tensor following_base(const columns::Layer& layer, const kernel::ReverseCholesky& factor,
                          const at::Tensor& feedback) {
  const at::Tensor D = layer.ordered(layer.problem.mismatch.t());
  at::Tensor shift = kernel::multiply_panels(layer.panels(), D, /*upper=*/false);
  const double first = layer.diagonal[layer.order[0].item<int64_t>()].item<double>();
  const at::Tensor exact = shift.select(1, 0) / first;
  columns::follow(shift, feedback, kernel::squared_pivots(factor));
  shift.select(1, 0).copy_(exact);
  return shift.add_(kernel::to_panels(layer.weight, layer.order));
}

}  // namespace

QronosOptions default_qronos() { return {.damping = 1e-6}; }

double largest_eigenvalue(const at::Tensor& hessian) {
  const at::Tensor H = hessian.to(at::kDouble);
  const int64_t largest = H.diagonal().argmax().item<int64_t>();
  at::Tensor x = H.select(0, largest);
  double value = 0;
  for (int step = 0; step < 30; ++step) {
    const double norm = x.norm().item<double>();
    if (norm == 0) return 0;
    const at::Tensor unit = x / norm;
    x = H.mv(unit);
    value = x.dot(unit).item<double>();
  }
  // Rounded: sums of another number of threads differ in the last digits of float64.
  return static_cast<float>(value);
}

LayerSolution solve(const LayerProblem& problem, const QronosOptions& options) {
  return columns::solve(
      "qronos", problem, options,
      [&](columns::Layer& layer) {
        const double unit = largest_eigenvalue(problem.hessian);
        // Damping is small beside what single precision loses.
        const auto factor = columns::factorize(layer, options.damping, unit, at::kDouble);
        const at::Tensor F = kernel::feedback_columns(factor, 0, factor.size);
        columns::Recurrence recurrence{{}, columns::feedback_of(F)};
        if (problem.mismatch.defined()) recurrence.base = following_base(layer, factor, F);
        return recurrence;
      },
      solve_reference);
}

LayerSolution solve_json(const LayerProblem& problem, const nlohmann::json& options) {
  return solve(problem, columns::parse(option_rules(), options, default_qronos()));
}

void check_options(const nlohmann::json& options) { columns::parse(option_rules(), options, {}); }

nlohmann::json default_options() { return columns::to_json(option_rules(), default_qronos()); }

}  // namespace laconic::qronos
