#include "laconic/evaluate/windows.h"

#include <algorithm>

namespace laconic {
namespace {

std::vector<Window> adjoining(int64_t stream_length, const PerplexityOptions& options) {
  const bool llama_cpp = options.convention == Convention::kLlamaCpp;
  const bool bos = options.bos == BosPolicy::kWindow;
  Window window{.bos_before = bos && !llama_cpp, .bos_instead = bos && llama_cpp};
  const int64_t step = options.context - (window.bos_before ? 1 : 0);
  // llama.cpp scores the logits [n / 2, n - 1): they predict the tokens one later.
  window.first_target = llama_cpp ? options.context / 2 + 1 : 1;
  std::vector<Window> windows;
  for (int64_t begin = 0; begin + step <= stream_length; begin += step) {
    window.begin = begin;
    window.end = begin + step;
    windows.push_back(window);
  }
  return windows;
}

std::vector<Window> overlapping(int64_t stream_length, const PerplexityOptions& options) {
  Window window{.bos_before = options.bos == BosPolicy::kWindow};
  const int64_t extra = window.bos_before ? 1 : 0;
  const int64_t length = options.context - extra;
  std::vector<Window> windows;
  int64_t predicted = 0;  // tokens of the stream before this are done
  for (int64_t begin = 0; predicted < stream_length; begin += options.stride) {
    window.begin = begin;
    window.end = std::min(begin + length, stream_length);
    window.first_target = std::max<int64_t>(1, predicted - begin + extra);
    predicted = window.end;
    if (window.predictions() > 0) windows.push_back(window);
  }
  return windows;
}

}  // namespace

std::vector<Window> plan_windows(int64_t stream_length, const PerplexityOptions& options) {
  std::vector<Window> windows = options.convention == Convention::kStride
                                    ? overlapping(stream_length, options)
                                    : adjoining(stream_length, options);
  const auto count = static_cast<int64_t>(windows.size());
  if (options.maximum_windows > 0 && options.maximum_windows < count)
    windows.resize(options.maximum_windows);
  return windows;
}

std::vector<int64_t> window_tokens(const Window& window, std::span<const int64_t> stream,
                                   int64_t bos) {
  std::vector<int64_t> ids;
  ids.reserve(static_cast<size_t>(window.length()));
  if (window.bos_before) ids.push_back(bos);
  const auto part = stream.subspan(window.begin, window.end - window.begin);
  ids.insert(ids.end(), part.begin(), part.end());
  if (window.bos_instead) ids.front() = bos;
  return ids;
}

}  // namespace laconic
