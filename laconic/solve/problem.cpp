#include "laconic/solve/problem.h"

#include <c10/util/Exception.h>

#include <cmath>
#include <string_view>
#include <variant>

namespace laconic {
namespace {

/// A sum is not finite when an element is not, and costs one pass without a mask.
bool is_finite(const at::Tensor& x) { return std::isfinite(x.sum(at::kDouble).item<double>()); }

}  // namespace

bool takes_format(TakesCodes takes, const Format& format) {
  const bool of_tables = takes != TakesCodes::kOfOneWorth;
  if (std::holds_alternative<ChoiceFormat>(format)) return of_tables;
  return !is_joint(format) || takes == TakesCodes::kAll;
}

void check_problem(const char* solver, const LayerProblem& problem, TakesCodes takes) {
  TORCH_CHECK_VALUE(
      problem.weight.defined() && problem.weight.dim() == 2 && problem.weight.numel() > 0, "[",
      solver, "] layer ", problem.name, ": expected a weight [out, in] with elements, got ",
      problem.weight.defined() ? problem.weight.sizes() : at::IntArrayRef{}, ".");
  TORCH_CHECK_VALUE(problem.weight.scalar_type() == at::kFloat, "[", solver, "] layer ",
                    problem.name, ": expected a float32 weight, got ", problem.weight.scalar_type(),
                    ". Convert it first.");
  TORCH_CHECK_VALUE(
      is_finite(problem.weight), "[", solver, "] layer ", problem.name,
      ": the weight holds NaN or infinity. Mend the model, or leave this layer out with skip.");
  TORCH_CHECK_NOT_IMPLEMENTED(
      takes_format(takes, problem.spec.format), "[", solver, "] layer ", problem.name, ": ", solver,
      " takes codes that are worth the same everywhere, unlike those of the format ",
      describe(problem.spec.format), ". Choose the solver nearest, or a table.");
  TORCH_CHECK_VALUE(!std::holds_alternative<PerToken>(problem.spec.granularity), "[", solver,
                    "] layer ", problem.name,
                    ": a weight cannot be quantized per token. Choose tensor, channel or group.");
}

void check_hessian(const char* solver, const LayerProblem& problem) {
  const int64_t columns = problem.weight.size(1);
  const at::Tensor& hessian = problem.hessian;
  TORCH_CHECK_VALUE(hessian.defined() && hessian.dim() == 2 && hessian.size(0) == columns &&
                        hessian.size(1) == columns,
                    "[", solver, "] layer ", problem.name, ": expected a Hessian [", columns, ", ",
                    columns, "], got ", hessian.defined() ? hessian.sizes() : at::IntArrayRef{},
                    ".");
  TORCH_CHECK_VALUE(is_finite(hessian), "[", solver, "] layer ", problem.name,
                    ": the Hessian holds NaN or infinity: an input of the layer did. Look at the "
                    "layers before it.");
  TORCH_CHECK_VALUE(hessian.diagonal().min().item<double>() >= 0, "[", solver, "] layer ",
                    problem.name, ": the Hessian has a negative diagonal: it is not X^T X.");
}

void check_mismatch(const char* solver, const LayerProblem& problem) {
  if (!problem.mismatch.defined()) return;
  const int64_t columns = problem.weight.size(1);
  TORCH_CHECK_VALUE(
      problem.mismatch.dim() == 2 && problem.mismatch.size(0) == columns &&
          problem.mismatch.size(1) == columns && problem.mismatch.scalar_type() == at::kFloat,
      "[", solver, "] layer ", problem.name, ": expected a float32 mismatch [", columns, ", ",
      columns, "], got ", problem.mismatch.scalar_type(), " ", problem.mismatch.sizes(), ".");
  TORCH_CHECK_VALUE(is_finite(problem.mismatch), "[", solver, "] layer ", problem.name,
                    ": the mismatch of its inputs holds NaN or infinity. Look at the layers before "
                    "it.");
}

QuantParameters problem_parameters(const LayerProblem& problem, const at::Tensor& weight) {
  if (problem.parameters) return *problem.parameters;
  const at::Tensor importance =
      problem.importance.defined() ? problem.importance.unsqueeze(0) : at::Tensor();
  return find_parameters(problem.spec, weight, importance);
}

}  // namespace laconic
