#pragma once

#include "laconic/solve/columns/scale_table.h"
#include "laconic/solve/solve.h"

namespace laconic::descent {

/// A layer's error as a function of its codes and scales, which change one after the other.
class Quadratic {
 public:
  /// @param start  codes and scales to begin with.
  /// @throws c10::ValueError naming solver and layer for a Hessian or a weight that is not finite.
  Quadratic(const char* solver, const LayerProblem& problem, LayerSolution start);

  /// Each code in turn to the best one while all others stay. @returns how many changed.
  int64_t improve_codes();
  /// The same so many times at most, until none changes.
  void settle_codes(int64_t passes);
  /// Scales of groups of inputs, and zero points that are floats, by least squares, one group after
  /// the other; a scale that would not be positive stays.
  void improve_scales();
  /// Codes and scales, each row the better of what it is and what it was at the start.
  LayerSolution best() const;
  /// (W - Q) H (W - Q)^T of each row, [out] float64.
  at::Tensor errors() const { return errors_of(solution_); }

 private:
  at::Tensor errors_of(const LayerSolution& solution) const;
  at::Tensor values_of(const LayerSolution& solution) const;
  /// @param changed  0-dim int64: grows by how many codes changed
  void improve_columns(at::Tensor& changed);
  /// @returns by how much each row's value changed, [out, 1].
  at::Tensor improve_column(int64_t column, const at::Tensor& gradient);
  void improve_group(int64_t group, int64_t begin, int64_t width);
  void put_scales();

  const LayerProblem& problem_;
  at::Tensor weight_, hessian_;  ///< float32
  at::Tensor curvatures_;        ///< the Hessian's diagonal, of the CPU on all devices
  LayerSolution start_, solution_;
  columns::ScaleTable table_;  ///< its places of the CPU
  at::Tensor value_;           ///< [out, in] of the codes
  at::Tensor error_;           ///< [out, in] W - Q
  at::Tensor gradient_;        ///< [out, in] (W - Q) H
};

/// What another solver gives: "nearest" or "gptq", with its own default options.
LayerSolution solve_start(const std::string& solver, const LayerProblem& problem);

/// The word of option "start". @throws c10::ValueError for another.
std::string start_option(const char* solver, const nlohmann::json& options);

}  // namespace laconic::descent
