#include "laconic/solve/descent/quadratic.h"

#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "laconic/base/text.h"
#include "laconic/quant/quantizer/deferred_checks.h"
#include "laconic/solve/problem.h"

namespace laconic::descent {
namespace {

constexpr int64_t kBlock = 128;
const std::vector<std::string> kStarts = {"nearest", "gptq"};

// One column's quantizer.
struct ColumnQuantizer {
  QuantSpec spec;
  QuantParameters parameters;
};

ColumnQuantizer column_quantizer(const QuantSpec& spec, const columns::ScaleTable& table,
                                 int64_t column) {
  const int64_t group = table.group.const_data_ptr<int64_t>()[column];
  ColumnQuantizer own{{.format = spec.format, .granularity = PerChannel{0}},
                      {table.scale.narrow(1, group, 1), {}}};
  if (table.zero_point.defined()) {
    own.spec.zero_point = spec.zero_point;
    own.parameters.zero_point = table.zero_point.narrow(1, group, 1);
  }
  return own;
}

at::Tensor copied(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.clone(at::MemoryFormat::Contiguous) : tensor;
}

// A row's numbers where the row has them for itself, else the same for all.
at::Tensor by_row(const at::Tensor& is_better, const at::Tensor& now, const at::Tensor& before) {
  if (!now.defined() || now.dim() == 0 || now.size(0) != is_better.size(0)) return now;
  std::vector<int64_t> shape(static_cast<size_t>(now.dim()), 1);
  shape[0] = is_better.size(0);
  return at::where(is_better.view(shape), now, before);
}

}  // namespace

Quadratic::Quadratic(const char* solver, const LayerProblem& problem, LayerSolution start)
    : problem_(problem), start_(std::move(start)) {
  check_problem(solver, problem);
  check_hessian(solver, problem);
  weight_ = problem.weight;
  hessian_ = problem.hessian.to(at::kFloat);
  curvatures_ = hessian_.diagonal().to(at::kCPU, at::kFloat).contiguous();
  solution_ = start_;
  solution_.codes = copied(start_.codes);
  solution_.parameters.scale = copied(start_.parameters.scale);
  solution_.parameters.zero_point = copied(start_.parameters.zero_point);
  table_ = columns::make_scale_table(problem.spec, solution_.parameters, weight_);
  table_.group = table_.group.cpu();
  table_.scale = copied(table_.scale);
  table_.zero_point = copied(table_.zero_point);
  value_ = values_of(solution_).contiguous();
  error_ = weight_ - value_;
}

at::Tensor Quadratic::values_of(const LayerSolution& solution) const {
  return dequantize(problem_.spec, solution.codes, solution.parameters).to(at::kFloat);
}

at::Tensor Quadratic::errors_of(const LayerSolution& solution) const {
  const auto error = (weight_ - values_of(solution)).to(at::kDouble);
  return (error.matmul(problem_.hessian.to(at::kDouble)) * error).sum(1);
}

at::Tensor Quadratic::improve_column(int64_t column, const at::Tensor& gradient) {
  const double curvature = curvatures_.const_data_ptr<float>()[column];
  const auto old = value_.narrow(1, column, 1);
  if (curvature <= 0) return old.new_zeros({old.size(0), 1});
  const auto wanted = old + gradient / curvature;
  const auto own = column_quantizer(problem_.spec, table_, column);
  const auto codes = quantize_codes(own.spec, wanted, own.parameters);
  const auto value = dequantize(own.spec, codes, own.parameters).to(at::kFloat);
  const auto is_better = (wanted - value).abs().lt((wanted - old).abs());
  const auto change = at::where(is_better, value - old, at::Tensor(value.new_zeros({1})));
  auto stored = solution_.codes.narrow(1, column, 1);
  stored.copy_(at::where(is_better, codes.to(stored.scalar_type()), stored));
  value_.narrow(1, column, 1).add_(change);
  error_.narrow(1, column, 1).sub_(change);
  return change;
}

int64_t Quadratic::improve_codes() {
  gradient_ = error_.matmul(hessian_);
  at::Tensor changed = at::zeros({}, weight_.options().dtype(at::kLong));
  // A device is asked once whether all numbers were finite and how many changed, not a column each.
  with_deferred_checks([&] { improve_columns(changed); });
  return changed.item<int64_t>();
}

void Quadratic::improve_columns(at::Tensor& changed) {
  const int64_t columns = weight_.size(1);
  for (int64_t begin = 0; begin < columns; begin += kBlock) {
    const int64_t width = std::min(kBlock, columns - begin), end = begin + width;
    const auto before = error_.narrow(1, begin, width).clone();
    auto own = gradient_.narrow(1, begin, width);
    for (int64_t j = 0; j < width; ++j) {
      const auto change = improve_column(begin + j, own.narrow(1, j, 1));
      const auto count = change.ne(0).sum();
      changed.add_(count);
      if (count.is_cpu() && count.item<int64_t>() == 0) continue;
      own.sub_(change.matmul(hessian_.narrow(0, begin + j, 1).narrow(1, begin, width)));
    }
    if (end < columns)
      gradient_.narrow(1, end, columns - end)
          .add_((error_.narrow(1, begin, width) - before)
                    .matmul(hessian_.narrow(0, begin, width).narrow(1, end, columns - end)));
  }
}

void Quadratic::settle_codes(int64_t passes) {
  for (int64_t pass = 0; pass < passes && improve_codes() > 0;) ++pass;
}

void Quadratic::improve_group(int64_t group, int64_t begin, int64_t width) {
  const auto hessian = hessian_.narrow(0, begin, width).narrow(1, begin, width).to(at::kDouble);
  const auto r = gradient_.narrow(1, begin, width).to(at::kDouble);
  const auto scale = table_.scale.narrow(1, group, 1).to(at::kDouble);
  // Elements less the zero point: the value is scale times this.
  const auto a = value_.narrow(1, begin, width).to(at::kDouble) / scale;
  const auto ha = a.matmul(hessian);
  const auto aa = (a * ha).sum(1, true), ar = (a * r).sum(1, true);
  auto step = ar / aa, shift = at::Tensor(step.new_zeros({1}));
  const bool has_shift = std::holds_alternative<FloatZeroPoint>(problem_.spec.zero_point);
  if (has_shift) {
    const auto a1 = ha.sum(1, true), r1 = r.sum(1, true);
    const auto all = hessian.sum();
    const auto determinant = aa * all - a1 * a1;
    step = (ar * all - r1 * a1) / determinant;
    shift = (r1 * aa - ar * a1) / determinant;
  }
  const auto is_used =
      step.isfinite().logical_and(shift.isfinite()).logical_and((scale + step).gt(0));
  const auto zero = at::Tensor(step.new_zeros({1}));
  step = at::where(is_used, step, zero), shift = at::where(is_used, shift, zero);
  const auto changed = (scale + step).to(at::kFloat);
  if (has_shift) {
    // value = (q - z) s + shift, so that the zero point moves by -shift / s.
    auto point = table_.zero_point.narrow(1, group, 1);
    point.sub_((shift / changed).to(at::kFloat));
  }
  table_.scale.narrow(1, group, 1).copy_(changed);
  const auto change = (step * a + shift).to(at::kFloat);
  gradient_.sub_(change.matmul(hessian_.narrow(0, begin, width)));
}

void Quadratic::put_scales() {
  solution_.parameters.scale.copy_(table_.scale.view(solution_.parameters.scale.sizes()));
  if (table_.zero_point.defined())
    solution_.parameters.zero_point.copy_(
        table_.zero_point.view(solution_.parameters.zero_point.sizes()));
  value_ = values_of(solution_).contiguous();
  error_ = weight_ - value_;
}

void Quadratic::improve_scales() {
  gradient_ = error_.matmul(hessian_);
  const int64_t columns = weight_.size(1), size = columns::input_group_size(problem_.spec);
  const int64_t width = size > 0 ? size : columns;
  for (int64_t begin = 0; begin < columns; begin += width)
    improve_group(begin / width, begin, std::min(width, columns - begin));
  put_scales();
}

LayerSolution Quadratic::best() const {
  const auto is_better = errors().le(errors_of(start_));
  LayerSolution best = solution_;
  best.codes = by_row(is_better, solution_.codes, start_.codes);
  best.parameters.scale = by_row(is_better, solution_.parameters.scale, start_.parameters.scale);
  best.parameters.zero_point =
      by_row(is_better, solution_.parameters.zero_point, start_.parameters.zero_point);
  return best;
}

LayerSolution solve_start(const std::string& solver, const LayerProblem& problem) {
  const Solver& row = find_solver(solver);
  return row.solve(problem, row.default_options());
}

std::string start_option(const char* solver, const nlohmann::json& options) {
  const auto& given = options.at("start");
  const std::string word = given.is_string() ? given.get<std::string>() : given.dump();
  TORCH_CHECK_VALUE(std::find(kStarts.begin(), kStarts.end(), word) != kStarts.end(), "[", solver,
                    "] start: expected nearest or gptq, got \"", word, "\"",
                    suggestion(word, kStarts), ".");
  return word;
}

}  // namespace laconic::descent
