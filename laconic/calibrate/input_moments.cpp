#include "laconic/calibrate/input_moments.h"

#include <ATen/ops/aminmax.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <sstream>

namespace laconic {
namespace {

constexpr double kLargestHalf = 65504;

at::Tensor input_rows(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}).to(at::kFloat); }

void accumulate(const at::Tensor& rows, at::Tensor& total) {
  const at::Tensor sum = rows.sum(0, /*keepdim=*/false, at::kDouble);
  total = total.defined() ? total.add_(sum) : sum;
}

}  // namespace

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

LayerStatistics layer_statistics(const std::string& layer, const SeenRows& seen, int64_t tokens) {
  LayerStatistics statistics;
  statistics.hessian = seen.hessian;
  statistics.mean = seen.mean;
  statistics.rows = seen.rows;
  if (seen.rows < std::min(kFewestExpertTokens, tokens)) {
    statistics.hessian = at::eye(seen.hessian.size(0), seen.hessian.options());
    statistics.mean = at::Tensor();
    statistics.notes.push_back("saw " + std::to_string(seen.rows) + " of " +
                               std::to_string(tokens) + " calibration tokens, fewer than " +
                               std::to_string(kFewestExpertTokens) +
                               ": rounded without statistics.");
  }
  statistics.mean_square = statistics.hessian.diagonal().clone();
  const bool finite = std::isfinite(statistics.mean_square.sum(at::kDouble).item<double>());
  TORCH_CHECK_VALUE(finite, "[engine] layer ", layer,
                    ": its input holds NaN or infinity on the calibration data. Look at "
                    "the weights of the layers before it, and at its norm.");
  if (seen.largest > kLargestHalf) {
    std::ostringstream note;
    note << "its input reaches " << seen.largest
         << " on the calibration data, more than float16 holds (" << kLargestHalf
         << "): run the model in bfloat16 or float32.";
    statistics.notes.push_back(note.str());
  }
  return statistics;
}

void InputMoments::finish_chunks() {
  rows_.finish([&](const auto& chunk) { take(chunk); });
  pairs_.finish([&](const auto& pair) { take_both(pair); });
}

void InputMoments::combine(Processes& processes) {
  finish_chunks();
  const auto sum = [&](at::Tensor& numbers) { processes.sum(numbers); };
  const auto options = sum_->options();
  const auto sum_total = [&](at::Tensor& total) {
    if (!total.defined()) total = at::zeros({sum_->columns()}, options.dtype(at::kDouble));
    processes.sum(total);
  };
  sum_->combine(sum);
  sum_total(total_);
  if (!largest_.defined()) largest_ = at::zeros({}, options);
  for (const at::Tensor& other : processes.gather(largest_))
    largest_ = at::maximum(largest_, other.to(largest_.device()));
  if (lost_ == nullptr) return;
  lost_->combine(sum);
  mismatch_->combine(sum);
  sum_total(lost_total_);
}

LayerStatistics InputMoments::mean(const std::string& layer, int64_t tokens) {
  TORCH_CHECK_VALUE(
      sum_ != nullptr, "[engine] layer ", layer,
      ": no calibration window reached it, so it has no statistics. Give more data, or "
      "choose a solver that needs none (nearest).");
  finish_chunks();
  const auto count = static_cast<double>(sum_->rows());
  const double largest = largest_.defined() ? largest_.item<double>() : 0;
  SeenRows seen{sum_->mean(), sum_->rows(), largest, {}};
  if (total_.defined()) seen.mean = (total_ / count).to(at::kFloat);
  sum_.reset();  // one matrix less beside those that follow
  LayerStatistics statistics = layer_statistics(layer, seen, tokens);
  seen.hessian.reset();
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
