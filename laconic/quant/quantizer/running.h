#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "laconic/quant/quantizer/range.h"

namespace laconic {

/// The range of a static scale, gathered window by window without keeping the windows. Statistics
/// of extremes (absmax, signed_absmax, min_max) equal those of all windows at once; of the others
/// the mean over the windows is taken, each counting alike.
class RunningRange {
 public:
  /// @throws c10::ValueError when the spec's scale is not static.
  explicit RunningRange(QuantSpec spec);

  /// Whether the smallest and the largest numbers of each scale say all that its statistic asks
  /// for.
  static bool needs_extremes_alone(const QuantSpec& spec);

  /// One window, any shape of always the same rank (the last size stays too). Empty ones do not
  /// count.
  /// @throws c10::ValueError for NaN or infinity.
  void add(const at::Tensor& x);

  int64_t windows() const { return windows_; }
  const QuantSpec& spec() const { return spec_; }

  /// What was seen, as a vector in float64 that `merge` of another object reads.
  at::Tensor state() const;
  /// As if the windows of the other had been added here too (means up to rounding).
  /// @param state  of an object of the same spec.
  void merge(const at::Tensor& state);

  /// float32, in the shape that the spec's granularity has for a window of one row.
  /// @throws c10::ValueError when no window was added.
  QuantParameters parameters() const;

 private:
  QuantSpec spec_;
  int64_t windows_ = 0;
  std::vector<int64_t> shape_;  ///< of the scale
  at::Tensor low_, high_;       ///< [scales]: extremes
  Range sum_;                   ///< float64: of the other statistics
};

}  // namespace laconic
