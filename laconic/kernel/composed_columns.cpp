#include "laconic/kernel/composed_columns.h"

#include <ATen/Context.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/bucketize.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/linalg_solve_triangular.h>
#include <ATen/ops/zeros_like.h>
#include <c10/util/Exception.h>

#include "laconic/kernel/panels.h"

namespace laconic::kernel::composed {
namespace {

/// Products in float32 whatever the network's may use: feedback adds up over all columns.
class ExactProducts {
 public:
  ExactProducts() { at::globalContext().setAllowTF32CuBLAS(false); }
  ~ExactProducts() { at::globalContext().setAllowTF32CuBLAS(before_); }
  ExactProducts(const ExactProducts&) = delete;
  ExactProducts& operator=(const ExactProducts&) = delete;

 private:
  bool before_ = at::globalContext().allowTF32CuBLAS();
};

/// Bit pattern and element of numbers in units of the scale.
struct Rounded {
  at::Tensor element, code;
};

Rounded round_units(const RoundingColumns& state, const at::Tensor& x, int64_t group) {
  const auto& [levels, thresholds, codes] = state.staircase;
  if (!levels.defined()) {
    const at::Tensor code = x.round().clamp(state.q_min, state.q_max);
    return {code, code.to(at::kInt)};
  }
  // As many thresholds as lie below x.
  at::Tensor level;
  if (state.choice.defined()) {
    const at::Tensor table = state.choice.select(1, group).flatten();
    const at::Tensor own = thresholds.index_select(0, table);
    level = (own < x.reshape({-1, 1})).sum(1) + table * levels.size(1);
  } else {
    level = at::bucketize(x, thresholds).flatten();
  }
  return {levels.flatten().index_select(0, level).view(x.sizes()),
          codes.flatten().index_select(0, level).view(x.sizes())};
}

/// Rounds column j; current: [P, 64].
void round_column(RoundingColumns& state, const at::Tensor& current, int64_t j, int64_t group) {
  const at::Tensor scale = state.scale.select(1, group);
  const at::Tensor zero =
      state.zero_point.defined() ? state.zero_point.select(1, group) : at::zeros_like(scale);
  const Rounded rounded = round_units(state, current / scale + zero, group);
  state.weight.select(1, j).sub_((rounded.element - zero) * scale);
  state.codes.select(1, j).copy_(rounded.code.bitwise_and(0xFF));
}

/// The columns [begin, end) of a factor's lower triangle, rows and columns turned around:
/// R_ij for all i, j in [begin, end).
at::Tensor columns_of(const ReverseCholesky& factor, int64_t begin, int64_t end) {
  const at::Tensor part = factor.panels.narrow(1, factor.size - end, end - begin);
  return from_panels(part, factor.size).flip({0, 1});
}

/// X of (I + N) X = Y for every panel Y [K, 64], N the part of `strict` [K, K] below its diagonal.
at::Tensor solve_unit_lower(const at::Tensor& strict, const at::Tensor& panels) {
  const ExactProducts exact;
  const int64_t count = panels.size(0), columns = panels.size(1);
  // One system with many right sides: a batch of systems would copy the matrix for each.
  const at::Tensor sides = panels.transpose(0, 1).reshape({columns, count * kPanelRows});
  const at::Tensor solved = at::linalg_solve_triangular(strict, sides, /*upper=*/false,
                                                        /*left=*/true, /*unitriangular=*/true);
  return solved.reshape({columns, count, kPanelRows}).transpose(0, 1).contiguous();
}

}  // namespace

ReverseCholesky reverse_cholesky(const at::Tensor& hessian, const at::Tensor& diagonal,
                                 const at::Tensor& order, at::ScalarType dtype) {
  const ExactProducts exact;
  const double unit = 1 / diagonal.mean().item<double>();
  const at::Tensor turned = order.flip(0);
  at::Tensor matrix = hessian.index_select(0, turned).index_select(1, turned).to(dtype).mul_(unit);
  matrix.diagonal().copy_(diagonal.index_select(0, turned) * unit);
  const auto [lower, info] = at::linalg_cholesky_ex(matrix);
  const bool holds = info.item<int32_t>() == 0;
  return {holds ? to_panels(lower) : at::Tensor(), hessian.size(0), unit};
}

at::Tensor feedback_columns(const ReverseCholesky& factor, int64_t begin, int64_t end) {
  const at::Tensor columns = columns_of(factor, begin, end);
  const at::Tensor pivots = columns.narrow(0, begin, end - begin).diagonal();
  const at::Tensor ratio = columns.narrow(0, 0, end) / pivots;
  return ratio.triu(1 - begin).to(at::kFloat).contiguous();
}

at::Tensor squared_pivots(const ReverseCholesky& factor) {
  const at::Tensor pivots = columns_of(factor, 0, factor.size).diagonal().to(at::kDouble);
  return pivots.square() / factor.unit;
}

at::Tensor current_columns(const RoundingColumns& state, const at::Tensor& feedback, int64_t begin,
                           int64_t end) {
  const ExactProducts exact;
  const at::Tensor& base = state.base.defined() ? state.base : state.weight;
  const at::Tensor start = base.narrow(1, begin, end - begin);
  if (begin == 0) return start.clone(at::MemoryFormat::Contiguous);
  const at::Tensor factors = feedback.narrow(0, 0, begin).t();
  const at::Tensor shared = factors.expand({start.size(0), end - begin, begin});
  return at::bmm(shared, state.weight.narrow(1, 0, begin)).add_(start);
}

at::Tensor remaining_columns(const at::Tensor& weight, const at::Tensor& feedback,
                             const at::Tensor& current, int64_t begin, int64_t end) {
  const at::Tensor original = weight.narrow(1, begin, end - begin);
  const at::Tensor factors = feedback.narrow(0, begin, end - begin).t();
  return solve_unit_lower(factors, current - original).add_(original);
}

void round_columns(RoundingColumns& state, const at::Tensor& feedback, at::Tensor& current,
                   int64_t begin, int64_t end) {
  TORCH_CHECK_VALUE(!state.budget.threshold.defined(),
                    "[round_columns] an accumulator's bound: expected the processor, got ",
                    state.weight.device(), ". Use --device cpu.");
  const at::Tensor groups = state.group.cpu();
  const int64_t* group = groups.const_data_ptr<int64_t>();
  for (int64_t j = begin; j < end; ++j) {
    round_column(state, current.select(1, j - begin), j, group[j]);
    if (j + 1 == end) break;
    const at::Tensor factors = feedback[j].narrow(0, j + 1 - begin, end - j - 1);
    current.narrow(1, j + 1 - begin, end - j - 1)
        .addcmul_(state.weight.narrow(1, j, 1), factors.view({1, -1, 1}));
  }
}

at::Tensor multiply_panels(const at::Tensor& panels, const at::Tensor& matrix) {
  const ExactProducts exact;
  return at::bmm(matrix.t().expand({panels.size(0), matrix.size(1), matrix.size(0)}), panels);
}

void solve_panels(at::Tensor& panels, const at::Tensor& strict) {
  panels = solve_unit_lower(strict.t(), panels);
}

}  // namespace laconic::kernel::composed
