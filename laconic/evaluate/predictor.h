#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "laconic/graph/run.h"
#include "laconic/load/language_model.h"

namespace laconic {

/// Runs a language model up to its head, so that logits, by far the largest values of the network,
/// are made only where they are needed and a slice at a time.
class Predictor {
 public:
  explicit Predictor(const LanguageModel& model);

  /// What the head reads at some positions.
  struct Hidden {
    at::Tensor
        rows;  ///< [n, hidden]; when the head cannot be split off: the logits [n, vocabulary]
    at::Tensor weight,
        bias;  ///< of the head; undefined when `rows` are logits, bias also when it has none
  };

  /// @param ids    [batch, length] int64.
  /// @param begin  positions [begin, end) of each window.
  Hidden hidden(const at::Tensor& ids, int64_t begin, int64_t end) const;

  /// Logits [end - begin, vocabulary] of rows [begin, end).
  static at::Tensor logits(const Hidden& hidden, int64_t begin, int64_t end);

 private:
  struct Head {
    graph::NodeId node;
    graph::Value input, weight;
    std::optional<graph::Value> bias;
  };
  static std::optional<Head> find_head(const LanguageModel& model);
  bool is_parameter(const graph::Value& value) const;

  const LanguageModel& model_;
  graph::Runner runner_;
  graph::Value input_;
  std::optional<Head> head_;
};

}  // namespace laconic
