#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "laconic/kernel/reverse_cholesky.h"
#include "laconic/solve/columns/options.h"
#include "laconic/solve/solve.h"

namespace laconic::columns {

/// A layer made ready for its columns to be rounded one after the other.
struct Layer {
  const char* solver;
  const LayerProblem& problem;
  at::Tensor weight;    ///< [out, in] float32; columns whose input is always zero are zero
  at::Tensor diagonal;  ///< [in] float64 of the Hessian; 1 where it is zero
  at::Tensor order;     ///< [in] int64: the column that is rounded first, second, ...
  std::vector<std::string> notes = {};

  /// A [in, in] matrix with rows and columns in the order of rounding.
  at::Tensor ordered(const at::Tensor& matrix) const;
  /// The problem's weight, dead columns included, in panel layout and the order of rounding.
  at::Tensor panels() const;
};

/// What a method says of column j before it is rounded, all in the order of rounding:
/// base_j + sum_{i<j} (w_i - q_i) F_ij.
struct Recurrence {
  at::Tensor base;  ///< [P, in, 64] panels; undefined: the weight
  /// F of the columns [begin, end): [end, end - begin] float32, 0 where i >= j.
  std::function<at::Tensor(int64_t begin, int64_t end)> feedback;
};

/// H + damping * unit = R R^T with as little damping as it takes, growing tenfold, which a note of
/// the layer says.
/// @param dtype  at::kFloat tries single precision first; at::kDouble is double at once.
/// @throws c10::ValueError naming the layer when no damping helps.
kernel::ReverseCholesky factorize(Layer& layer, double damping, double unit,
                                  at::ScalarType dtype = at::kFloat);

/// Y (R R^T)^-1 R diag(R)^-1, in place: what a target Y = W D^T adds to each column when all later
/// columns are free to follow it.
/// @param panels    [P, in, 64].
/// @param feedback  [in, in] float32: R_ij / R_jj above the diagonal.
/// @param pivots    [in] float64: R_jj^2.
void follow(at::Tensor& panels, const at::Tensor& feedback, const at::Tensor& pivots);

/// Checks the problem, finds scales and rounds all columns by the method's recurrence.
/// @param live  what GroupScales::kLive runs instead: no recurrence knows weights that round anew.
/// @throws c10::ValueError naming the solver and the layer.
LayerSolution solve(
    const char* solver, const LayerProblem& problem, const Options& options,
    const std::function<Recurrence(Layer&)>& method,
    const std::function<LayerSolution(const LayerProblem&, const Options&)>& live = {});

/// F as a whole in blocks of columns, for methods that have it as a matrix [in, in].
std::function<at::Tensor(int64_t, int64_t)> feedback_of(const at::Tensor& matrix);

}  // namespace laconic::columns
