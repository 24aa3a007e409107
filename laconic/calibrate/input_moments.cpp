#include "laconic/calibrate/input_moments.h"

#include <ATen/ops/eye.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

namespace laconic {
namespace {

at::Tensor input_rows(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}).to(at::kFloat); }

}  // namespace

void InputMoments::add(const at::Tensor& x) {
  const at::Tensor rows = input_rows(x);
  if (sum_ == nullptr) sum_ = std::make_unique<kernel::GramSum>(rows.size(1), rows.device());
  if (rows.size(0) > 0) sum_->add(rows);
}

void InputMoments::add(const at::Tensor& x, const at::Tensor& float_x) {
  add(x);
  const at::Tensor rows = input_rows(x);
  if (lost_ == nullptr) {
    lost_ = std::make_unique<kernel::GramSum>(rows.size(1), rows.device());
    mismatch_ = std::make_unique<kernel::CrossSum>(rows.size(1), rows.device());
  }
  const bool same_tokens = float_x.sizes() == x.sizes();
  if (!same_tokens || rows.size(0) == 0) return;
  const at::Tensor difference = input_rows(float_x) - rows;
  mismatch_->add(rows, difference);
  lost_->add(difference);
}

LayerStatistics InputMoments::mean(const std::string& layer, int64_t tokens) const {
  TORCH_CHECK_VALUE(
      sum_ != nullptr, "[engine] layer ", layer,
      ": no calibration window reached it, so it has no statistics. Give more data, or "
      "choose a solver that needs none (nearest).");
  LayerStatistics statistics;
  statistics.rows = sum_->rows();
  const bool is_rare = sum_->rows() < std::min(kFewestExpertTokens, tokens);
  statistics.hessian = is_rare ? at::eye(sum_->columns(), sum_->options()) : sum_->mean();
  if (is_rare)
    statistics.notes.push_back("saw " + std::to_string(sum_->rows()) + " of " +
                               std::to_string(tokens) + " calibration tokens, fewer than " +
                               std::to_string(kFewestExpertTokens) +
                               ": rounded without statistics.");
  statistics.mean_square = statistics.hessian.diagonal().clone();
  const bool finite = std::isfinite(statistics.mean_square.sum(at::kDouble).item<double>());
  TORCH_CHECK_VALUE(finite, "[engine] layer ", layer,
                    ": its input holds NaN or infinity on the calibration data. Look at "
                    "the weights of the layers before it, and at its norm.");
  // Only an expert sees fewer tokens than there are, and each network routes its own to it.
  if (lost_ != nullptr && sum_->rows() == tokens) {
    statistics.mismatch = mismatch_->mean();
    statistics.lost = lost_->mean();
  }
  return statistics;
}

}  // namespace laconic
