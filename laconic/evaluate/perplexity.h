#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "laconic/evaluate/layer_noise.h"
#include "laconic/load/language_model.h"

namespace laconic {

/// Which tokens are predicted from which.
///   kGptq      windows without overlap over the joined text, the last partial one dropped; every
///   token but a
///              window's first is predicted (arXiv:2210.17323).
///   kLlamaCpp  the same windows; only the second half of each is predicted, as llama.cpp's
///   perplexity tool does. kStride    windows overlap and begin `stride` tokens apart; each token
///   is predicted once, with at least
///              context - stride tokens before it; the last window may be shorter.
enum class Convention { kGptq, kLlamaCpp, kStride };

/// Where a BOS token stands: nowhere; before the whole text; at the begin of each window. There it
/// is one of the window's tokens; kLlamaCpp puts it in place of the window's first token, as
/// llama.cpp does.
enum class BosPolicy { kNone, kFirst, kWindow };

struct PerplexityOptions {
  int64_t context =
      0;  ///< window length in tokens, BOS included; 0: the model's maximum, at most 2048
  Convention convention = Convention::kGptq;
  BosPolicy bos = BosPolicy::kNone;
  int64_t stride = 0;           ///< for kStride: new tokens a window; 0: half of the context
  int64_t batch = 0;            ///< windows at once; 0: about 4096 tokens
  int64_t maximum_windows = 0;  ///< 0: all
  bool layers = false;          ///< measure every layer too; needs the float model
  bool progress = false;
  at::Device device = at::kCPU;  ///< where the models' parameters come to (load/placement.h)
};

struct PerplexityResult {
  double perplexity = 0,
         loss = 0;  ///< loss: mean negative log-likelihood, nats a token; perplexity = exp(loss)
  double perplexity_error = 0;  ///< one standard error, predictions taken as independent
  int64_t context = 0, windows = 0, predictions = 0;
  int64_t tokens = 0;  ///< of the text
  double seconds = 0;  ///< of running the model
  // Against a float model, when one was given:
  std::optional<double> kl_divergence,
      kl_error;  ///< mean KL(float || model), nats a token; one standard error
  std::optional<double>
      top1_agreement;                   ///< fraction of predictions with the same most likely token
  std::vector<LayerNoise> layers = {};  ///< when they were asked for
};

/// @param tokens   ids of the text, without BOS.
/// @param against  the float model; it must have the same vocabulary.
/// @throws c10::ValueError when the text is shorter than one window, a token is outside of the
/// vocabulary, the
///         options contradict each other, or a logit is not finite (names the window).
PerplexityResult evaluate_perplexity(const LanguageModel& model, std::span<const int64_t> tokens,
                                     const PerplexityOptions& options,
                                     const LanguageModel* against = nullptr);

}  // namespace laconic
