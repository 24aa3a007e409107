#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "laconic/quant/quantizer/quantize.h"

namespace laconic {

/// Rows of tokens [batch, groups, tokens, d] to which more are added; memory doubles when it is
/// full.
class TokenRows {
 public:
  void append(const at::Tensor& rows);
  /// Forgets all but the last `count`.
  void keep_last(int64_t count);
  at::Tensor rows() const { return memory_.narrow(2, first_, count_); }
  int64_t count() const { return count_; }
  uint64_t bytes() const { return memory_.defined() ? memory_.nbytes() : 0; }

 private:
  at::Tensor memory_;
  int64_t first_ = 0, count_ = 0;
};

/// How keys or values are kept: in float, or as codes of a dynamic quantizer whose scales each
/// belong to one token (in as few bits as they have, on the CPU), with the last `residual` tokens
/// in float as well.
struct CachedKind {
  std::optional<QuantSpec> spec;
  int64_t residual = 0;
};

/// Keys or values of one attention.
class CachedTensor {
 public:
  explicit CachedTensor(const CachedKind& kind) : kind_(kind) {}
  void append(const at::Tensor& x);
  /// All tokens as attention sees them from afar: dequantized. [batch, groups, tokens, d] float.
  at::Tensor quantized() const;
  /// The same with the last ones in float: what the last `queries` see near them.
  at::Tensor recent(int64_t queries) const;
  /// Forgets what no later token sees.
  void keep_last(int64_t count);
  int64_t count() const { return kind_.spec ? codes_.count() : floats_.count(); }
  uint64_t bytes() const;

 private:
  CachedKind kind_;
  int64_t features_ = 0;  ///< of a token's packed codes; 0: a byte each
  TokenRows floats_, codes_, scale_, zero_point_, choice_;
};

}  // namespace laconic
