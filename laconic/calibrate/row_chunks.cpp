#include "laconic/calibrate/row_chunks.h"

#include <ATen/ops/empty.h>

#include <algorithm>

namespace laconic {
namespace {

/// As many as kernel::GramSum multiplies at once.
constexpr int64_t kRows = 512;

}  // namespace

void RowChunks::add(const std::vector<at::Tensor>& rows, const Take& take) {
  const auto part = [](const std::vector<at::Tensor>& all, int64_t begin, int64_t count) {
    std::vector<at::Tensor> parts;
    for (const at::Tensor& one : all) parts.push_back(one.narrow(0, begin, count));
    return parts;
  };
  const int64_t total = rows.front().size(0);
  // Other devices promise no bits, and are quicker with all rows at once.
  if (!rows.front().is_cpu() && total > 0) return take(rows);
  for (int64_t begin = 0; begin < total;) {
    const int64_t count = std::min(kRows - count_, total - begin);
    const auto arrived = part(rows, begin, count);
    begin += count;
    if (count == kRows) {
      take(arrived);
      continue;
    }
    if (waiting_.empty()) {
      for (const at::Tensor& one : rows)
        waiting_.push_back(at::empty({kRows, one.size(1)}, one.options()));
    }
    const auto places = part(waiting_, count_, count);
    for (size_t i = 0; i < places.size(); ++i) places[i].copy_(arrived[i]);
    count_ = (count_ + count) % kRows;
    if (count_ == 0) take(waiting_);
  }
}

void RowChunks::finish(const Take& take) {
  if (count_ == 0) return;
  for (at::Tensor& one : waiting_) one = one.narrow(0, 0, count_);
  take(waiting_);
  waiting_.clear();
  count_ = 0;
}

}  // namespace laconic
