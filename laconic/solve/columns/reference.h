#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "laconic/solve/columns/options.h"
#include "laconic/solve/columns/scale_table.h"
#include "laconic/solve/solve.h"

namespace laconic::columns {

// What the references of the solvers share. They follow the papers in their own symbols, in
// float64, without blocks, and are slow: the fast solvers must equal them.

/// The columns of one layer, in float64, while they are rounded one after the other.
class ReferenceColumns {
 public:
  ReferenceColumns(const LayerProblem& problem, const Options& options);

  /// [out, in] float64; columns whose input is always zero are zero. The solver changes it; scales
  /// that are found on the way are those of W as it is then.
  at::Tensor W;
  at::Tensor H;      ///< [in, in] float64; the diagonal of those is one
  at::Tensor order;  ///< [in] int64

  /// H, or another [in, in] matrix, in the order of rounding.
  at::Tensor ordered(const at::Tensor& matrix) const;

  /// Q(w) of column j (in the layer's own numbering), and keeps its code. @param w [out] float64.
  at::Tensor round(const at::Tensor& w, int64_t j);

  /// Whether scales are those of W at any time (kLive), so that rounded columns round anew.
  bool is_live() const { return options_.group_scales == GroupScales::kLive; }
  /// Q(W) with the scales of W as it is now, in the order of rounding.
  at::Tensor rounded() const;

  /// Codes, scales and notes.
  LayerSolution solution(std::vector<std::string> notes);

 private:
  QuantParameters parameters_of(const at::Tensor& weight, const at::Tensor& importance) const;
  void find_scales(int64_t j);
  bool changes_at(int64_t j) const;

  const LayerProblem& problem_;
  const Options& options_;
  QuantParameters parameters_;
  ScaleTable table_;
  at::Tensor codes_;
};

/// The recursion of GPTQ over the columns from `first` on (in the order of rounding).
/// @param U  [in - first, in - first] of those columns.
void diffuse(ReferenceColumns& columns, const at::Tensor& U, int64_t first, int64_t block_size);

/// U, upper, with (H + damping * unit)^-1 = U^T U; the damping grows until it exists, which a note
/// says.
at::Tensor inverse_factor(const LayerProblem& problem, const at::Tensor& H, double damping,
                          double unit, std::vector<std::string>& notes);

}  // namespace laconic::columns
