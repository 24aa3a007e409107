#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "laconic/graph/graph.h"
#include "laconic/graph/parameters.h"
#include "laconic/graph/run.h"
#include "laconic/runtime/key_value_cache.h"

namespace laconic {

/// A language model's graph prepared for decoding with a cache of keys and values. Its attention
/// calls (laconic::attention, laconic::attention_recent, laconic::attention_shares with
/// laconic::attend), ropes and positions are found in the
/// graph. Keys and values that the graph quantizes are kept as codes. Holds no text; any number of
/// `Decoding`s share it.
class CachedDecoder {
 public:
  /// @throws c10::ValueError for a graph without attention, whose attention is of another operator,
  /// or whose quantizer of keys or values lets tokens share a scale.
  explicit CachedDecoder(const graph::Graph& graph,
                         std::shared_ptr<const graph::Parameters> parameters);

 private:
  friend class Decoding;
  struct Attention {
    graph::NodeId node = -1;    ///< that reads the keys
    graph::NodeId attend = -1;  ///< that reads the values; -1: the same
    CachedKind keys, values;
  };
  /// Whether what is cached for `past` positions is not what `total` positions would give: ropes
  /// whose frequencies depend on the length.
  bool must_begin_again(int64_t past, int64_t total) const;

  std::shared_ptr<const graph::Parameters> parameters_;
  std::unique_ptr<const graph::Runner> runner_;
  std::vector<Attention> attentions_;
  std::vector<graph::NodeId> moving_;  ///< ropes and positions: their last argument is an offset
};

/// One text (or a batch of equally long ones) on its way through a decoder.
class Decoding {
 public:
  explicit Decoding(const CachedDecoder& decoder);
  ~Decoding();
  Decoding(Decoding&&) noexcept;
  Decoding(const Decoding&) = delete;
  Decoding& operator=(const Decoding&) = delete;

  /// Goes on with ids [batch, n], n > 0: logits [batch, n, vocabulary], to rounding those that the
  /// text so far gives at once at these positions.
  /// @throws c10::ValueError for another batch than before or no ids.
  at::Tensor extend(const at::Tensor& ids);

  int64_t length() const;  ///< tokens so far
  uint64_t bytes() const;  ///< of the cache

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace laconic
