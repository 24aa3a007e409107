#pragma once

namespace laconic::graph {

/// While it lives, what this thread runs or records multiplies matrices in bfloat16 (linear layers,
/// attention); sums, norms and what is between blocks stay as they are. For gradients of which the
/// direction counts.
class MixedPrecision {
 public:
  /// @param enabled  false: nothing changes.
  explicit MixedPrecision(bool enabled);
  ~MixedPrecision();
  MixedPrecision(const MixedPrecision&) = delete;
  MixedPrecision& operator=(const MixedPrecision&) = delete;

  /// Whether the processor has instructions that make it faster (AMX).
  static bool is_fast();

 private:
  bool enabled_;
};

}  // namespace laconic::graph
