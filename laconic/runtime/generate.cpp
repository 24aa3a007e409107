#include "laconic/runtime/generate.h"

#include <ATen/ops/softmax.h>
#include <ATen/ops/sort.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

namespace laconic {

Sampler::Sampler(const Sampling& options) : options_(options), random_(options.seed) {
  TORCH_CHECK_VALUE(std::isfinite(options.temperature) && options.temperature >= 0,
                    "[sample] temperature: expected 0 or more, got ", options.temperature, ".");
  TORCH_CHECK_VALUE(options.top_k >= 0, "[sample] top_k: expected 0 (all) or more, got ",
                    options.top_k, ".");
  TORCH_CHECK_VALUE(options.top_p > 0 && options.top_p <= 1,
                    "[sample] top_p: expected above 0 to 1, got ", options.top_p, ".");
}

int64_t Sampler::choose(const at::Tensor& logits) {
  TORCH_CHECK_VALUE(!logits.isnan().any().item<bool>(),
                    "[sample] the logits hold NaN. Look at the model's weights.");
  if (options_.temperature == 0) return logits.argmax().item<int64_t>();
  const auto scaled = (logits.to(at::kDouble) / options_.temperature);
  const auto [sorted, order] = at::sort(at::softmax(scaled, 0), /*stable=*/true, 0,
                                        /*descending=*/true);
  const double* share = sorted.const_data_ptr<double>();
  int64_t count = sorted.size(0);
  if (options_.top_k > 0) count = std::min(count, options_.top_k);
  double sum = 0;
  int64_t kept = 0;
  while (kept < count && (kept == 0 || sum < options_.top_p)) sum += share[kept++];
  // Of the engine's bits, so that every standard library draws the same.
  const double drawn = static_cast<double>(random_() >> 11) * 0x1p-53 * sum;
  double below = 0;
  int64_t chosen = 0;
  while (chosen + 1 < kept && below + share[chosen] <= drawn) below += share[chosen++];
  return order[chosen].item<int64_t>();
}

}  // namespace laconic
