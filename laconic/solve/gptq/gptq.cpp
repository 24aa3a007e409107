#include "laconic/solve/gptq/gptq.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <sstream>

#include "laconic/kernel/gptq_columns.h"
#include "laconic/kernel/panels.h"
#include "laconic/kernel/reverse_cholesky.h"
#include "laconic/solve/gptq/reference.h"
#include "laconic/solve/gptq/scale_table.h"
#include "laconic/solve/problem.h"

namespace laconic::gptq {
namespace {

/// Sets the weights of dead inputs to zero and their diagonal to one.
void settle_dead_inputs(at::Tensor& weight, at::Tensor& diagonal, std::vector<std::string>& notes) {
  const at::Tensor dead = diagonal == 0;
  const int64_t count = dead.sum().item<int64_t>();
  if (count == 0) return;
  diagonal = diagonal.masked_fill(dead, 1.0);
  weight = weight.masked_fill(dead.unsqueeze(0), 0.0);
  std::ostringstream note;
  note << count << " of " << dead.numel() << " inputs are always zero: their weights became 0.";
  notes.push_back(note.str());
}

/// The factor of H with as little damping as it takes.
kernel::ReverseCholesky factorize(const LayerProblem& problem, const at::Tensor& diagonal,
                                  const at::Tensor& order, double damping,
                                  std::vector<std::string>& notes) {
  const at::Tensor hessian = problem.hessian.to(at::kFloat).contiguous();
  const double mean = diagonal.mean().item<double>(), asked = damping;
  for (int attempt = 0; attempt < 12; ++attempt) {
    const at::Tensor damped = diagonal + damping * mean;
    for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
      const auto factor = kernel::reverse_cholesky(hessian, damped, order, dtype);
      if (!factor.holds()) continue;
      if (attempt > 0) {
        std::ostringstream note;
        note << "damping raised from " << asked << " to " << damping
             << ": the Hessian was not positive definite.";
        notes.push_back(note.str());
      }
      return factor;
    }
    damping = std::max(damping * 10, 0.01);
  }
  TORCH_CHECK_VALUE(false, "[gptq] layer ", problem.name,
                    ": the Hessian is not positive definite with damping ", damping,
                    " either: it is not X^T X. Look at the layer's inputs.");
}

/// One layer while its columns are rounded, in their order.
struct Work {
  const LayerProblem& problem;
  const GptqOptions& options;
  at::Tensor order;  ///< undefined: natural
  ScaleTable scales;
  kernel::GptqColumns columns;
};

/// Finds the scales of the group that starts at `begin` from its weights as they are then.
void find_group_scales(Work& work, const at::Tensor& remaining, int64_t begin) {
  const int64_t rows = work.problem.weight.size(0), width = remaining.size(1);
  const at::Tensor importance = work.problem.importance;
  const auto found = find_parameters(
      work.problem.spec, kernel::from_panels(remaining, rows),
      importance.defined() ? importance.narrow(0, begin, width).unsqueeze(0) : at::Tensor());
  const int64_t group = begin / input_group_size(work.problem.spec);
  const auto put = [&](at::Tensor& table, at::Tensor& panels, const at::Tensor& value) {
    const at::Tensor column = value.to(at::kFloat).reshape({rows, 1});
    table.select(1, group).copy_(column.select(1, 0));
    panels.select(1, group).copy_(kernel::to_panels(column, {}, 1.0).select(1, 0));
  };
  put(work.scales.scale, work.columns.scale, found.scale);
  if (found.zero_point.defined())
    put(work.scales.zero_point, work.columns.zero_point, found.zero_point);
}

void round_all_columns(Work& work, const kernel::ReverseCholesky& factor) {
  const bool during = work.options.group_scales == GroupScales::kDuring &&
                      !work.problem.parameters && input_group_size(work.problem.spec) > 0;
  const int64_t width = during ? input_group_size(work.problem.spec) : work.options.block_size;
  const int64_t columns = work.problem.weight.size(1);
  for (int64_t begin = 0; begin < columns; begin += width) {
    const int64_t end = std::min(begin + width, columns);
    const at::Tensor feedback = kernel::feedback_columns(factor, begin, end);
    at::Tensor current = kernel::gptq_current(work.columns, feedback, begin, end);
    if (during)
      find_group_scales(work, kernel::gptq_remaining(work.columns, feedback, current, begin, end),
                        begin);
    kernel::gptq_round(work.columns, feedback, current, begin, end);
  }
}

/// Scales of a group table back in the shape of the spec's parameters.
QuantParameters grouped_parameters(const QuantParameters& like, const ScaleTable& table) {
  QuantParameters result = like;
  result.scale = table.scale.reshape(like.scale.sizes()).to(like.scale.scalar_type());
  if (like.zero_point.defined()) {
    result.zero_point =
        table.zero_point.reshape(like.zero_point.sizes()).to(like.zero_point.scalar_type());
  }
  return result;
}

Work prepare(const LayerProblem& problem, const GptqOptions& options, const at::Tensor& weight,
             const QuantParameters& parameters, const at::Tensor& order) {
  Work work{problem, options, order, make_scale_table(problem.spec, parameters, weight), {}};
  auto& columns = work.columns;
  work.scales.scale = work.scales.scale.clone(at::MemoryFormat::Contiguous);
  columns.scale = kernel::to_panels(work.scales.scale, {}, 1.0);
  if (work.scales.zero_point.defined()) {
    work.scales.zero_point = work.scales.zero_point.clone(at::MemoryFormat::Contiguous);
    columns.zero_point = kernel::to_panels(work.scales.zero_point);
  }
  columns.group = order.defined() ? work.scales.group.index_select(0, order) : work.scales.group;
  columns.weight = kernel::to_panels(weight, order);
  columns.codes = at::empty(columns.weight.sizes(), weight.options().dtype(at::kByte));
  const CodeRange range = code_range(problem.spec.format);
  columns.q_min = static_cast<float>(range.q_min);
  columns.q_max = static_cast<float>(range.q_max);
  return work;
}

}  // namespace

LayerSolution solve(const LayerProblem& problem, const GptqOptions& options) {
  check_problem("gptq", problem);
  check_hessian("gptq", problem);
  TORCH_CHECK_VALUE(std::holds_alternative<IntFormat>(problem.spec.format), "[gptq] layer ",
                    problem.name, ": GPTQ works on integers, which contradicts the format ",
                    describe(problem.spec.format), ". Choose format int, or the solver nearest.");
  TORCH_CHECK_VALUE(std::holds_alternative<HalfEven>(problem.spec.rounding), "[gptq] layer ",
                    problem.name, ": GPTQ rounds to nearest, which contradicts the rounding ",
                    part_name(problem.spec.rounding),
                    ". Choose rounding half_even, or the solver nearest.");
  if (options.group_scales == GroupScales::kLive) return solve_reference(problem, options);
  std::vector<std::string> notes;
  at::Tensor weight = problem.weight,
             diagonal = problem.hessian.diagonal().to(at::kDouble).contiguous();
  settle_dead_inputs(weight, diagonal, notes);
  const at::Tensor order = options.activation_order
                               ? diagonal.argsort(/*stable=*/true, 0, /*descending=*/true)
                               : at::arange(weight.size(1), weight.options().dtype(at::kLong));
  const auto factor = factorize(problem, diagonal, order, options.damping, notes);
  const QuantParameters parameters = problem_parameters(problem, weight);
  const at::Tensor permutation = options.activation_order ? order : at::Tensor();
  Work work = prepare(problem, options, weight, parameters, permutation);
  round_all_columns(work, factor);

  at::Tensor codes = kernel::from_panels(work.columns.codes, weight.size(0), permutation);
  if (code_range(problem.spec.format).q_min < 0) codes = codes.view(at::kChar);
  return {
      codes,
      input_group_size(problem.spec) > 0 ? grouped_parameters(parameters, work.scales) : parameters,
      notes};
}

}  // namespace laconic::gptq
