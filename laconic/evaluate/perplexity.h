#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "laconic/load/language_model.h"

namespace laconic {

enum class Convention { kGptq, kLlamaCpp, kStride };
enum class BosPolicy { kNone, kFirst, kWindow };

struct PerplexityOptions {
  int64_t context = 0;  ///< window length in tokens, BOS included; 0: the model's maximum, at most 2048
  Convention convention = Convention::kGptq;
  BosPolicy bos = BosPolicy::kNone;
  int64_t stride = 0;   ///< for kStride: new tokens a window; 0: half of the context
  int64_t batch = 8;    ///< windows at once
  int64_t maximum_windows = 0;  ///< 0: all
  bool progress = false;
};

struct PerplexityResult {
  double perplexity = 0, loss = 0;  ///< loss: mean negative log-likelihood, nats
  double perplexity_error = 0;      ///< one standard error
  int64_t windows = 0, predictions = 0, tokens = 0;
  double seconds = 0;
  // Against a float model, when one was given:
  std::optional<double> kl_divergence, kl_error, top1_agreement;  ///< nats a token; fraction
};

/// @throws c10::ValueError when the text is shorter than one window, or a logit is not finite (names the window).
PerplexityResult evaluate_perplexity(const LanguageModel& model, std::span<const int64_t> tokens,
                                     const PerplexityOptions& options, const LanguageModel* against = nullptr);

}  // namespace laconic
