#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace laconic::kernel {

/// Replaces numbers by their sum over several processes.
using SumOverAll = std::function<void(at::Tensor&)>;

/// A running sum of X^T X of which only the lower panels are computed: half of the work of a
/// product. The sum does not depend on the number of threads. On another device than the CPU its
/// matrix products do the work, as exact as they are set to be (float32 or TF32).
class GramSum {
 public:
  explicit GramSum(int64_t columns, at::Device device = at::kCPU);
  /// @param x  [n, columns] float32, any strides.
  void add(const at::Tensor& x);
  /// From now on the sum of all.
  void combine(const SumOverAll& sum_over_all);
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  at::TensorOptions options() const { return panels_.options(); }  ///< of the mean
  /// X^T X / rows, [columns, columns] float32, symmetric bit for bit. Of no rows: zeros.
  at::Tensor mean() const;

 private:
  int64_t columns_, rows_ = 0;
  /// [P, 64 P, 64], panel layout (panels.h); what lies above the diagonal blocks is not kept up.
  /// On another device [columns, columns].
  at::Tensor panels_;
};

/// A running sum of A^T B. The sum does not depend on the number of threads.
class CrossSum {
 public:
  explicit CrossSum(int64_t columns, at::Device device = at::kCPU);
  /// @param a, b  [n, columns] float32, any strides.
  void add(const at::Tensor& a, const at::Tensor& b);
  /// From now on the sum of all.
  void combine(const SumOverAll& sum_over_all);
  /// A^T B / rows, [columns, columns] float32. Of no rows: zeros.
  at::Tensor mean() const;

 private:
  int64_t columns_, rows_ = 0;
  at::Tensor panels_;  ///< [P, 64 P, 64]; on another device [columns, columns]
};

}  // namespace laconic::kernel
