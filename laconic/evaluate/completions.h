#pragma once

#include <c10/core/Device.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "laconic/load/language_model.h"
#include "laconic/runtime/cached_decoder.h"
#include "laconic/runtime/generate.h"

namespace laconic {

/// A checked request for completions. The names are those of OpenAI's API.
struct CompletionRequest {
  std::vector<std::vector<int64_t>> prompts;
  int64_t max_tokens = 16;
  bool echo = false;
  int64_t logprobs = -1;  ///< alternatives of each token; -1: no logarithms
  std::vector<std::string> stop;
  Sampling sampling;
};

/// What a request may ask for at most.
struct CompletionLimits {
  int64_t prompts = 256, logprobs = 100, stops = 16;
  int64_t stop_bytes = 1024;
};

/// @throws c10::ValueError naming the field: no JSON object, an unknown field, a wrong value, ids
/// that the model does not have, more positions than it has, n other than 1, streaming.
CompletionRequest read_completion(const nlohmann::json& json, const LanguageModel& model,
                                  const CompletionLimits& limits = {});

/// Completes texts by one model, one request after the other.
class Completions {
 public:
  /// @param device  where the model's parameters are asked for (load/placement.h)
  /// @throws as CachedDecoder.
  Completions(LanguageModel model, std::string name, at::Device device = at::kCPU);

  /// The reply to POST /v1/completions. @throws as read_completion; Interrupted after Ctrl-C.
  nlohmann::json complete(const nlohmann::json& request);
  /// The reply to GET /v1/models.
  nlohmann::json models() const;
  /// Counters in the text format of Prometheus.
  std::string metrics() const;
  const LanguageModel& model() const { return model_; }
  void count_refusal() { ++refused_; }

 private:
  struct Answer;
  at::Tensor logits_of(Decoding& decoding, const std::vector<int64_t>& ids) const;
  Answer answer(const CompletionRequest& request, const std::vector<int64_t>& prompt);
  nlohmann::json logarithms(const CompletionRequest& request, const Answer& answer,
                            size_t prompt) const;
  std::string text_of(std::span<const int64_t> ids) const;
  std::string piece(const std::vector<int64_t>& ids, size_t index) const;
  std::string name_of(int64_t id) const;

  LanguageModel model_;
  std::string name_;
  at::Device device_;
  CachedDecoder decoder_;
  std::vector<int64_t> ends_;  ///< ids that end a text
  std::mutex mutex_;           // a model computes on all cores: one request at a time
  std::atomic<int64_t> answered_ = 0, refused_ = 0, read_tokens_ = 0, made_tokens_ = 0,
                       microseconds_ = 0;
};

}  // namespace laconic
