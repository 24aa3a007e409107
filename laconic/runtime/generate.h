#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <random>

namespace laconic {

/// How the next token is chosen.
struct Sampling {
  double temperature = 0;  ///< 0: the most probable token
  int64_t top_k = 0;       ///< only among so many; 0: all
  double top_p = 1;        ///< only among the most probable that together reach this probability
  uint64_t seed = 0;
};

/// Chooses tokens one after the other; the same seed and logits give the same tokens.
class Sampler {
 public:
  /// @throws c10::ValueError for a temperature below 0, top_k below 0, or top_p outside (0, 1].
  explicit Sampler(const Sampling& options);
  /// @param logits  [vocabulary].
  /// @throws c10::ValueError for NaN in them.
  int64_t choose(const at::Tensor& logits);

 private:
  Sampling options_;
  std::mt19937_64 random_;
};

}  // namespace laconic
