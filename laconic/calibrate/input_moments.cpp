#include "laconic/calibrate/input_moments.h"

#include <ATen/ops/aminmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/maximum.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <sstream>

namespace laconic {
namespace {

/// As many as kernel::GramSum multiplies at once.
constexpr int64_t kRows = 512;
constexpr double kLargestHalf = 65504;

at::Tensor input_rows(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}).to(at::kFloat); }

void accumulate(const at::Tensor& rows, at::Tensor& total) {
  const at::Tensor sum = rows.sum(0, /*keepdim=*/false, at::kDouble);
  total = total.defined() ? total.add_(sum) : sum;
}

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

void InputMoments::take(const std::vector<at::Tensor>& rows) {
  sum_->add(rows.front());
  accumulate(rows.front(), total_);
  const auto [least, most] = at::aminmax(rows.front());
  const at::Tensor largest = at::maximum(least.neg(), most);
  largest_ = largest_.defined() ? at::maximum(largest_, largest) : largest;
}

void InputMoments::take_both(const std::vector<at::Tensor>& rows) {
  mismatch_->add(rows.at(0), rows.at(1));
  lost_->add(rows.at(1));
  accumulate(rows.at(1), lost_total_);
}

void InputMoments::add(const at::Tensor& x) {
  const at::Tensor rows = input_rows(x);
  if (sum_ == nullptr) sum_ = std::make_unique<kernel::GramSum>(rows.size(1), rows.device());
  rows_.add({rows}, [&](const auto& chunk) { take(chunk); });
}

void InputMoments::add(const at::Tensor& x, const at::Tensor& float_x) {
  add(x);
  const at::Tensor rows = input_rows(x);
  if (lost_ == nullptr) {
    lost_ = std::make_unique<kernel::GramSum>(rows.size(1), rows.device());
    mismatch_ = std::make_unique<kernel::CrossSum>(rows.size(1), rows.device());
  }
  const bool same_tokens = float_x.sizes() == x.sizes();
  if (!same_tokens) return;
  pairs_.add({rows, input_rows(float_x) - rows}, [&](const auto& pair) { take_both(pair); });
}

LayerStatistics InputMoments::mean(const std::string& layer, int64_t tokens) {
  TORCH_CHECK_VALUE(
      sum_ != nullptr, "[engine] layer ", layer,
      ": no calibration window reached it, so it has no statistics. Give more data, or "
      "choose a solver that needs none (nearest).");
  rows_.finish([&](const auto& chunk) { take(chunk); });
  pairs_.finish([&](const auto& pair) { take_both(pair); });
  LayerStatistics statistics;
  statistics.rows = sum_->rows();
  const bool is_rare = sum_->rows() < std::min(kFewestExpertTokens, tokens);
  statistics.hessian = is_rare ? at::eye(sum_->columns(), sum_->options()) : sum_->mean();
  if (is_rare)
    statistics.notes.push_back("saw " + std::to_string(sum_->rows()) + " of " +
                               std::to_string(tokens) + " calibration tokens, fewer than " +
                               std::to_string(kFewestExpertTokens) +
                               ": rounded without statistics.");
  const auto count = static_cast<double>(sum_->rows());
  if (!is_rare && total_.defined()) statistics.mean = (total_ / count).to(at::kFloat);
  statistics.mean_square = statistics.hessian.diagonal().clone();
  const bool finite = std::isfinite(statistics.mean_square.sum(at::kDouble).item<double>());
  TORCH_CHECK_VALUE(finite, "[engine] layer ", layer,
                    ": its input holds NaN or infinity on the calibration data. Look at "
                    "the weights of the layers before it, and at its norm.");
  const double largest = largest_.defined() ? largest_.item<double>() : 0;
  if (largest > kLargestHalf) {
    std::ostringstream note;
    note << "its input reaches " << largest << " on the calibration data, more than float16 holds ("
         << kLargestHalf << "): run the model in bfloat16 or float32.";
    statistics.notes.push_back(note.str());
  }
  sum_.reset();  // one matrix less beside those that follow
  // Only an expert sees fewer tokens than there are, and each network routes its own to it.
  if (lost_ != nullptr && statistics.rows == tokens) {
    statistics.mismatch = mismatch_->mean();
    mismatch_.reset();
    statistics.lost = lost_->mean();
    lost_.reset();
    statistics.mean_lost = (lost_total_ / count).to(at::kFloat);
  }
  return statistics;
}

}  // namespace laconic
