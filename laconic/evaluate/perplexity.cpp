#include "laconic/evaluate/perplexity.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/log_softmax.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

#include "laconic/base/progress.h"
#include "laconic/evaluate/bos.h"
#include "laconic/evaluate/predictor.h"
#include "laconic/evaluate/windows.h"

namespace laconic {
namespace {

constexpr int64_t kDefaultContext = 2048, kDefaultBatchTokens = 4096;
/// Of one slice of logits: the allocator uses blocks of this size again, larger ones are new pages
/// each time.
constexpr int64_t kLogitBytes = int64_t{16} << 20;
constexpr int64_t kLeastRows = 256;  ///< of a slice: each one reads the whole head

/// Mean and standard error of values that come in parts.
class Mean {
 public:
  void add(const at::Tensor& values) {
    const at::Tensor exact = values.to(at::kDouble);
    sum_ += exact.sum().item<double>();
    squares_ += exact.square().sum().item<double>();
    count_ += values.numel();
  }
  double mean() const { return sum_ / static_cast<double>(count_); }
  double error() const {
    if (count_ < 2) return 0;
    const double n = static_cast<double>(count_);
    const double variance = std::max(0.0, squares_ / n - mean() * mean()) * n / (n - 1);
    return std::sqrt(variance / n);
  }
  int64_t count() const { return count_; }

 private:
  double sum_ = 0, squares_ = 0;
  int64_t count_ = 0;
};

struct Totals {
  Mean loss, divergence, agreement;
};

/// Consecutive windows of one shape, [first, last).
struct Batch {
  size_t first, last;
};

void check_options(const PerplexityOptions& options, const LanguageModel& model,
                   const LanguageModel* against) {
  TORCH_CHECK_VALUE(options.context >= 2, "[perplexity] context: expected at least 2 tokens, got ",
                    options.context, ".");
  const bool stride_given = options.stride != 0;
  TORCH_CHECK_VALUE(!stride_given || options.convention == Convention::kStride,
                    "[perplexity] stride is for the convention stride only. Remove it, or choose "
                    "that convention.");
  TORCH_CHECK_VALUE(!stride_given || (options.stride >= 1 && options.stride < options.context),
                    "[perplexity] stride: expected 1 to context - 1 = ", options.context - 1,
                    ", got ", options.stride, ".");
  TORCH_CHECK_VALUE(options.convention != Convention::kLlamaCpp || options.context >= 4,
                    "[perplexity] context: the convention llama.cpp needs at least 4 tokens, got ",
                    options.context, ".");
  TORCH_CHECK_VALUE(
      against != nullptr || !options.layers,
      "[perplexity] layers: expected a float model to measure them against, got none. "
      "Name it with --against.");
  TORCH_CHECK_VALUE(against == nullptr || against->vocabulary_size == model.vocabulary_size,
                    "[perplexity] the model to compare with has another vocabulary: ",
                    against ? against->vocabulary_size : 0, " tokens, this one ",
                    model.vocabulary_size, ". Name the float model that this one was made from.");
}

// Learned positions end; rotary ones go on, though the model may not be good there.
void check_context(const LanguageModel& model, int64_t context) {
  const bool rotary = model.config.contains("rope_theta") ||
                      model.config.contains("rope_parameters") ||
                      model.config.contains("rope_scaling") || model.config.contains("rotary_pct");
  TORCH_CHECK_VALUE(rotary || model.maximum_length <= 0 || context <= model.maximum_length,
                    "[perplexity] context ", context, ": expected at most ", model.maximum_length,
                    ", the positions that ", model.directory.string(), " has.");
}

void check_tokens(std::span<const int64_t> tokens, int64_t vocabulary) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    TORCH_CHECK_VALUE(tokens[i] >= 0 && tokens[i] < vocabulary, "[perplexity] token ", i,
                      " of the text has id ", tokens[i], ": expected less than the vocabulary of ",
                      vocabulary, ". Do tokenizer and model belong together?");
  }
}

PerplexityOptions with_defaults(PerplexityOptions options, const LanguageModel& model) {
  if (options.context == 0) {
    options.context = model.maximum_length > 0 ? std::min(model.maximum_length, kDefaultContext)
                                               : kDefaultContext;
  }
  if (options.convention == Convention::kStride && options.stride == 0)
    options.stride = std::max<int64_t>(1, options.context / 2);
  if (options.batch == 0)
    options.batch = std::max<int64_t>(1, kDefaultBatchTokens / options.context);
  return options;
}

std::vector<Batch> group(const std::vector<Window>& windows, int64_t size) {
  std::vector<Batch> batches;
  for (size_t i = 0; i < windows.size(); ++i) {
    const bool fits = !batches.empty() && static_cast<int64_t>(i - batches.back().first) < size &&
                      windows[i].length() == windows[batches.back().first].length() &&
                      windows[i].first_target == windows[batches.back().first].first_target;
    if (!fits) batches.push_back({i, i});
    batches.back().last = i + 1;
  }
  return batches;
}

class Evaluation {
 public:
  Evaluation(const LanguageModel& model, const LanguageModel* against) : predictor_(model) {
    if (against != nullptr) reference_.emplace(*against);
  }

  /// @param ids  [windows, length]; tokens from `first_target` on are predicted.
  /// @param first_window  number of the first window, for messages.
  void add(const at::Tensor& ids, int64_t first_target, size_t first_window) {
    const int64_t length = ids.size(1);
    const auto hidden = predictor_.hidden(ids, first_target - 1, length - 1);
    std::optional<Predictor::Hidden> reference;
    if (reference_) reference = reference_->hidden(ids, first_target - 1, length - 1);
    const at::Tensor targets = ids.slice(1, first_target, length).reshape({-1});
    const int64_t vocabulary =
        hidden.weight.defined() ? hidden.weight.size(0) : hidden.rows.size(1);
    const int64_t slice = std::max(kLeastRows, kLogitBytes / 4 / vocabulary);
    for (int64_t begin = 0; begin < targets.size(0); begin += slice) {
      const int64_t end = std::min(begin + slice, targets.size(0));
      const at::Tensor chosen = targets.slice(0, begin, end);
      const at::Tensor scores = at::log_softmax(Predictor::logits(hidden, begin, end), -1);
      const at::Tensor loss = scores.gather(1, chosen.unsqueeze(1)).squeeze(1).neg();
      check_finite(loss, begin, length - first_target, first_window);
      totals_.loss.add(loss);
      if (reference)
        add_distance(scores, at::log_softmax(Predictor::logits(*reference, begin, end), -1));
    }
  }

  const Totals& totals() const { return totals_; }

 private:
  void add_distance(const at::Tensor& scores, const at::Tensor& reference) {
    // Where the float model says never, the product is 0 though the difference may be infinite.
    const at::Tensor likely = reference.exp();
    totals_.divergence.add((likely * (reference - scores)).masked_fill_(likely == 0, 0).sum(-1));
    totals_.agreement.add((scores.argmax(-1) == reference.argmax(-1)).to(at::kDouble));
  }

  static void check_finite(const at::Tensor& loss, int64_t begin, int64_t predictions,
                           size_t first_window) {
    if (loss.isfinite().all().item<bool>()) return;
    const int64_t bad = loss.isfinite().logical_not().nonzero()[0].item<int64_t>() + begin;
    TORCH_CHECK_VALUE(
        false, "[perplexity] window ", first_window + static_cast<size_t>(bad / predictions),
        ", prediction ", bad % predictions,
        ": the model's logits are not finite. Are there NaN or infinity in its weights?");
  }

  Predictor predictor_;
  std::optional<Predictor> reference_;
  Totals totals_;
};

at::Tensor to_tensor(const std::vector<Window>& windows, const Batch& batch,
                     std::span<const int64_t> stream, int64_t bos) {
  const int64_t length = windows[batch.first].length();
  const at::Tensor ids =
      at::empty({static_cast<int64_t>(batch.last - batch.first), length}, at::kLong);
  auto* out = ids.mutable_data_ptr<int64_t>();
  for (size_t i = batch.first; i < batch.last; ++i) {
    const std::vector<int64_t> tokens = window_tokens(windows[i], stream, bos);
    out = std::copy(tokens.begin(), tokens.end(), out);
  }
  return ids;
}

PerplexityResult summarize(const Totals& totals, bool against) {
  PerplexityResult result;
  result.loss = totals.loss.mean();
  result.perplexity = std::exp(result.loss);
  result.perplexity_error = result.perplexity * totals.loss.error();
  result.predictions = totals.loss.count();
  if (against) {
    result.kl_divergence = totals.divergence.mean();
    result.kl_error = totals.divergence.error();
    result.top1_agreement = totals.agreement.mean();
  }
  return result;
}

// llama.cpp puts BOS before the text also when it replaces the first token of each window.
std::vector<int64_t> make_stream(std::span<const int64_t> tokens, const PerplexityOptions& options,
                                 int64_t bos) {
  std::vector<int64_t> stream;
  stream.reserve(tokens.size() + 1);
  const bool llama_cpp = options.convention == Convention::kLlamaCpp;
  if (options.bos == BosPolicy::kFirst || (llama_cpp && options.bos == BosPolicy::kWindow))
    stream.push_back(bos);
  stream.insert(stream.end(), tokens.begin(), tokens.end());
  return stream;
}

}  // namespace

PerplexityResult evaluate_perplexity(const LanguageModel& model, std::span<const int64_t> tokens,
                                     const PerplexityOptions& given, const LanguageModel* against) {
  const PerplexityOptions options = with_defaults(given, model);
  check_options(options, model, against);
  check_context(model, options.context);
  check_tokens(tokens, model.vocabulary_size);
  const int64_t bos = options.bos == BosPolicy::kNone ? -1 : required_bos_token(model);
  const std::vector<int64_t> stream = make_stream(tokens, options, bos);
  const std::vector<Window> windows = plan_windows(static_cast<int64_t>(stream.size()), options);
  TORCH_CHECK_VALUE(!windows.empty(), "[perplexity] the text has ", tokens.size(),
                    " tokens: expected at least one window of ", options.context,
                    ". Give a longer text or a smaller context.");
  const at::NoGradGuard no_gradient;
  const Stopwatch clock;
  Evaluation evaluation(model, against);
  std::optional<LayerNoiseMeter> layers;
  if (options.layers) layers.emplace(model, *against);
  Progress progress("evaluate", static_cast<int64_t>(windows.size()), options.progress);
  for (const Batch& batch : group(windows, options.batch)) {
    const at::Tensor ids = to_tensor(windows, batch, stream, bos).to(options.device);
    evaluation.add(ids, windows[batch.first].first_target, batch.first);
    if (layers) layers->add(ids);
    progress.advance(static_cast<int64_t>(batch.last - batch.first), "windows");
  }
  PerplexityResult result = summarize(evaluation.totals(), against != nullptr);
  if (layers) result.layers = layers->result();
  result.context = options.context;
  result.windows = static_cast<int64_t>(windows.size());
  result.tokens = static_cast<int64_t>(tokens.size());
  result.seconds = clock.seconds();
  return result;
}

}  // namespace laconic
