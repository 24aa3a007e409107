#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

#include "laconic/calibrate/row_chunks.h"
#include "laconic/kernel/gram.h"

namespace laconic {

/// What is known of the features of a layer's input over all positions of all windows.
struct FeatureStatistics {
  at::Tensor minimum = {}, maximum = {};  ///< [in] float32
  at::Tensor mean = {}, magnitude = {};   ///< [in] float32: mean of x, of |x|
  at::Tensor hessian = {};  ///< [in, in] float32: X^T X / rows; undefined unless asked for
  int64_t rows = 0;         ///< 0: the other fields are undefined
};

/// Gathers them batch by batch; how many rows a batch has changes no bit.
class FeatureMoments {
 public:
  enum class Products { kNone, kHessian };
  explicit FeatureMoments(Products products) : products_(products) {}

  /// @param x  [..., in]; may have no rows.
  void add(const at::Tensor& x);
  /// The sums are gone then.
  /// @param where  for messages: "[engine] layer q_proj".
  /// @throws c10::ValueError for NaN or infinity.
  FeatureStatistics finish(const std::string& where);

 private:
  void take(const at::Tensor& rows);

  Products products_;
  RowChunks chunks_;
  at::Tensor minimum_, maximum_, total_, magnitude_;  ///< the sums in float64
  std::optional<kernel::GramSum> gram_;
  int64_t rows_ = 0;
};

}  // namespace laconic
