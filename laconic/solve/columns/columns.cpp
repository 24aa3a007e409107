#include "laconic/solve/columns/columns.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <sstream>
#include <utility>
#include <variant>

#include "laconic/kernel/panel_matrix.h"
#include "laconic/kernel/panels.h"
#include "laconic/kernel/round_columns.h"
#include "laconic/solve/columns/accumulator.h"
#include "laconic/solve/columns/scale_table.h"
#include "laconic/solve/columns/staircase.h"
#include "laconic/solve/problem.h"

namespace laconic::columns {
namespace {

/// Sets the weights of dead inputs to zero and their diagonal to one.
void settle_dead_inputs(Layer& layer) {
  const at::Tensor dead = layer.diagonal == 0;
  const int64_t count = dead.sum().item<int64_t>();
  if (count == 0) return;
  layer.diagonal = layer.diagonal.masked_fill(dead, 1.0);
  layer.weight = layer.weight.masked_fill(dead.unsqueeze(0), 0.0);
  std::ostringstream note;
  note << count << " of " << dead.numel() << " inputs are always zero: their weights became 0.";
  layer.notes.push_back(note.str());
}

/// One layer while its columns are rounded, in their order.
struct Work {
  const LayerProblem& problem;
  const Options& options;
  ScaleTable scales;
  kernel::RoundingColumns columns;
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
  if (found.choice.defined()) put(work.scales.choice, work.columns.choice, found.choice);
}

void round_all_columns(Work& work, const Recurrence& recurrence) {
  const bool during = work.options.group_scales == GroupScales::kDuring &&
                      !work.problem.parameters && input_group_size(work.problem.spec) > 0;
  const int64_t width = during ? input_group_size(work.problem.spec) : work.options.block_size;
  const int64_t columns = work.problem.weight.size(1);
  for (int64_t begin = 0; begin < columns; begin += width) {
    const int64_t end = std::min(begin + width, columns);
    const at::Tensor feedback = recurrence.feedback(begin, end);
    at::Tensor current = kernel::current_columns(work.columns, feedback, begin, end);
    if (during)
      find_group_scales(
          work, kernel::remaining_columns(work.columns, feedback, current, begin, end), begin);
    kernel::round_columns(work.columns, feedback, current, begin, end);
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
  if (like.choice.defined())
    result.choice = table.choice.reshape(like.choice.sizes()).to(like.choice.scalar_type());
  return result;
}

kernel::Staircase on_device(kernel::Staircase staircase, at::Device device) {
  for (at::Tensor* part : {&staircase.levels, &staircase.thresholds, &staircase.codes})
    if (part->defined()) *part = part->to(device);
  return staircase;
}

Work prepare(const Layer& layer, const Options& options, const QuantParameters& parameters,
             const at::Tensor& order) {
  const QuantSpec& spec = layer.problem.spec;
  Work work{layer.problem, options, make_scale_table(spec, parameters, layer.weight), {}};
  auto& columns = work.columns;
  work.scales.scale = work.scales.scale.clone(at::MemoryFormat::Contiguous);
  columns.scale = kernel::to_panels(work.scales.scale, {}, 1.0);
  if (work.scales.zero_point.defined()) {
    work.scales.zero_point = work.scales.zero_point.clone(at::MemoryFormat::Contiguous);
    columns.zero_point = kernel::to_panels(work.scales.zero_point);
  }
  if (work.scales.choice.defined()) {
    work.scales.choice = work.scales.choice.clone(at::MemoryFormat::Contiguous);
    columns.choice = kernel::to_panels(work.scales.choice).to(at::kInt);
  }
  columns.group = order.defined() ? work.scales.group.index_select(0, order) : work.scales.group;
  columns.weight = kernel::to_panels(layer.weight, order);
  columns.codes = at::empty(columns.weight.sizes(), layer.weight.options().dtype(at::kByte));
  const CodeRange range = code_range(spec.format);
  columns.q_min = static_cast<float>(range.q_min);
  columns.q_max = static_cast<float>(range.q_max);
  columns.staircase = on_device(staircase(spec.format), layer.weight.device());
  if (options.accumulator) {
    columns.budget = tile_budget(layer.solver, layer.problem, *options.accumulator, layer.weight,
                                 work.scales, order);
  }
  return work;
}

bool has_joint_scales(const QuantSpec& spec) {
  const auto rule = statistic_of(spec.scale);
  return (rule && std::holds_alternative<QuantizedBy>(rule->restriction)) ||
         std::holds_alternative<QuantizedMinimum>(spec.zero_point);
}

void check_solvable(const char* solver, const LayerProblem& problem, const Options& options) {
  check_problem(solver, problem, TakesCodes::kOfTables);
  check_hessian(solver, problem);
  check_mismatch(solver, problem);
  TORCH_CHECK_VALUE(stored_bits(problem.spec.format) <= 8, "[", solver, "] layer ", problem.name,
                    ": expected a format of at most 8 bits, got ", describe(problem.spec.format),
                    ". Choose fewer bits, or the solver nearest.");
  TORCH_CHECK_VALUE(
      std::holds_alternative<HalfEven>(problem.spec.rounding), "[", solver, "] layer ",
      problem.name, ": ", solver, " rounds to nearest, which contradicts the rounding ",
      part_name(problem.spec.rounding), ". Choose rounding half_even, or the solver nearest.");
  TORCH_CHECK_VALUE(options.group_scales != GroupScales::kDuring || problem.parameters ||
                        !has_joint_scales(problem.spec),
                    "[", solver, "] layer ", problem.name,
                    ": group_scales \"during\" finds one group's scale at a time, but the scales "
                    "of ",
                    to_string(problem.spec),
                    " are quantized together. Set group_scales to \"before\".");
  TORCH_CHECK_VALUE(!problem.parameters || !problem.parameters->code_scale.defined(), "[", solver,
                    "] layer ", problem.name,
                    ": codes and values of this quantizer have scales of their own: expected one. "
                    "Choose a statistic scale, or the solver nearest.");
}

}  // namespace

at::Tensor Layer::ordered(const at::Tensor& matrix) const {
  return matrix.index_select(0, order).index_select(1, order);
}

at::Tensor Layer::panels() const { return kernel::to_panels(problem.weight, order); }

kernel::ReverseCholesky factorize(Layer& layer, double damping, double unit, at::ScalarType dtype) {
  const at::Tensor hessian = layer.problem.hessian.to(at::kFloat).contiguous();
  const double asked = damping;
  for (int attempt = 0; attempt < 12; ++attempt) {
    const at::Tensor damped = layer.diagonal + damping * unit;
    for (const at::ScalarType tried : {at::kFloat, at::kDouble}) {
      if (tried == at::kFloat && dtype == at::kDouble) continue;
      const auto factor = kernel::reverse_cholesky(hessian, damped, layer.order, tried);
      if (!factor.holds()) continue;
      if (attempt > 0) {
        std::ostringstream note;
        note << "damping raised from " << asked << " to " << damping
             << ": the Hessian was not positive definite.";
        layer.notes.push_back(note.str());
      }
      return factor;
    }
    damping = std::max(damping * 10, asked > 0 ? asked : 0.01);
  }
  TORCH_CHECK_VALUE(false, "[", layer.solver, "] layer ", layer.problem.name,
                    ": the Hessian is not positive definite with damping ", damping,
                    " either: it is not X^T X. Look at the layer's inputs.");
}

void follow(at::Tensor& panels, const at::Tensor& feedback, const at::Tensor& pivots) {
  // X (I + F)^T = Y from the last column to the first is X' (I + N) = Y' with all indices turned
  // around.
  at::Tensor turned = panels.flip(1);
  kernel::solve_panels(turned, feedback.t().flip({0, 1}).contiguous());
  const at::Tensor inverse = pivots.reciprocal().to(at::kFloat);
  panels = turned.flip(1).mul_(inverse.view({1, -1, 1}));
}

std::function<at::Tensor(int64_t, int64_t)> feedback_of(const at::Tensor& matrix) {
  return [matrix](int64_t begin, int64_t end) {
    return matrix.narrow(0, 0, end).narrow(1, begin, end - begin).contiguous();
  };
}

LayerSolution solve(const char* solver, const LayerProblem& problem, const Options& options,
                    const std::function<Recurrence(Layer&)>& method,
                    const std::function<LayerSolution(const LayerProblem&, const Options&)>& live) {
  check_solvable(solver, problem, options);
  if (options.group_scales == GroupScales::kLive) return live(problem, options);
  Layer layer{.solver = solver,
              .problem = problem,
              .weight = problem.weight,
              .diagonal = problem.hessian.diagonal().to(at::kDouble).contiguous(),
              .order = {}};
  settle_dead_inputs(layer);
  layer.order = options.activation_order
                    ? layer.diagonal.argsort(/*stable=*/true, 0, /*descending=*/true)
                    : at::arange(layer.weight.size(1), layer.weight.options().dtype(at::kLong));
  const Recurrence recurrence = method(layer);
  const QuantParameters parameters = problem_parameters(problem, layer.weight);
  const at::Tensor permutation = options.activation_order ? layer.order : at::Tensor();
  Work work = prepare(layer, options, parameters, permutation);
  work.columns.base = recurrence.base;
  round_all_columns(work, recurrence);

  at::Tensor codes = kernel::from_panels(work.columns.codes, layer.weight.size(0), permutation);
  if (code_range(problem.spec.format).q_min < 0) codes = codes.view(at::kChar);
  return {
      codes,
      input_group_size(problem.spec) > 0 ? grouped_parameters(parameters, work.scales) : parameters,
      layer.notes};
}

}  // namespace laconic::columns
