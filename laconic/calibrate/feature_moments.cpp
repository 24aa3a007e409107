#include "laconic/calibrate/feature_moments.h"

#include <ATen/ops/maximum.h>
#include <ATen/ops/minimum.h>
#include <c10/util/Exception.h>

namespace laconic {

void FeatureMoments::take(const at::Tensor& rows) {
  const at::Tensor least = rows.amin(0), most = rows.amax(0);
  const at::Tensor sum = rows.sum(0, false, at::kDouble);
  const at::Tensor magnitude = rows.abs().sum(0, false, at::kDouble);
  minimum_ = minimum_.defined() ? at::minimum(minimum_, least) : least;
  maximum_ = maximum_.defined() ? at::maximum(maximum_, most) : most;
  total_ = total_.defined() ? total_ + sum : sum;
  magnitude_ = magnitude_.defined() ? magnitude_ + magnitude : magnitude;
  rows_ += rows.size(0);
  if (products_ == Products::kNone) return;
  if (!gram_) gram_.emplace(rows.size(1), rows.device());
  gram_->add(rows);
}

void FeatureMoments::add(const at::Tensor& x) {
  const at::Tensor rows = x.reshape({-1, x.size(-1)}).to(at::kFloat);
  if (rows.size(0) == 0) return;
  chunks_.add({rows}, [&](const auto& chunk) { take(chunk.front()); });
}

FeatureStatistics FeatureMoments::finish(const std::string& where) {
  chunks_.finish([&](const auto& chunk) { take(chunk.front()); });
  if (rows_ == 0) return {};
  FeatureStatistics found{.minimum = minimum_, .maximum = maximum_, .rows = rows_};
  const auto count = static_cast<double>(rows_);
  found.mean = (total_ / count).to(at::kFloat);
  found.magnitude = (magnitude_ / count).to(at::kFloat);
  bool is_finite = magnitude_.isfinite().all().item<bool>();
  if (gram_) {
    found.hessian = gram_->mean();
    gram_.reset();
    is_finite = is_finite && found.hessian.diagonal().isfinite().all().item<bool>();
  }
  TORCH_CHECK_VALUE(is_finite, where,
                    ": its input holds NaN or infinity on the calibration data. Look at the "
                    "weights of the layers before it, and at its norm.");
  return found;
}

}  // namespace laconic
