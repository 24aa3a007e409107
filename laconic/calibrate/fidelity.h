#pragma once

#include <ATen/core/Tensor.h>

namespace laconic {

/// 10 log10(sum w^2 / sum (w - q)^2), dB; infinity when nothing was lost.
double signal_to_noise_db(const at::Tensor& weight, const at::Tensor& quantized);

/// tr((W - Q) H (W - Q)^T) / tr(W H W^T): the squared error of the layer's output, relative. NaN
/// where W H W^T is 0.
double relative_output_error(const at::Tensor& weight, const at::Tensor& quantized,
                             const at::Tensor& hessian);

/// Second moments of a layer's inputs, [in, in] float32: X of the float network, X~ of the
/// quantized one.
struct FollowedMoments {
  const at::Tensor& hessian;   ///< X~^T X~ / n
  const at::Tensor& mismatch;  ///< X~^T (X - X~) / n
  const at::Tensor& lost;      ///< (X - X~)^T (X - X~) / n
};

/// |X W^T - X~ Q^T|^2 / |X W^T|^2; NaN where X W^T is 0.
double followed_output_error(const at::Tensor& weight, const at::Tensor& quantized,
                             const FollowedMoments& moments);

}  // namespace laconic
