#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "laconic/evaluate/perplexity.h"

namespace laconic {

/// A stretch of the token stream that the model reads at once.
struct Window {
  int64_t begin = 0, end = 0;  ///< [begin, end) of the stream
  bool bos_before = false;     ///< BOS, then the stretch
  bool bos_instead = false;    ///< BOS in place of the first token
  int64_t first_target = 1;    ///< tokens [first_target, length()) of the window are predicted
  int64_t length() const { return end - begin + (bos_before ? 1 : 0); }
  int64_t predictions() const { return length() - first_target; }
};

/// The windows of a stream of `stream_length` tokens (a first BOS counted), in order.
std::vector<Window> plan_windows(int64_t stream_length, const PerplexityOptions& options);

/// The ids that the model reads. @param bos  needed when the window has one.
std::vector<int64_t> window_tokens(const Window& window, std::span<const int64_t> stream,
                                   int64_t bos);

}  // namespace laconic
