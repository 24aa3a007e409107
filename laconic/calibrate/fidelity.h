#pragma once

#include <ATen/core/Tensor.h>

namespace laconic {

/// 10 log10(sum w^2 / sum (w - q)^2), dB; infinity when nothing was lost.
double signal_to_noise_db(const at::Tensor& weight, const at::Tensor& quantized);

/// tr((W - Q) H (W - Q)^T) / tr(W H W^T): the squared error of the layer's output, relative. NaN
/// where W H W^T is 0.
double relative_output_error(const at::Tensor& weight, const at::Tensor& quantized,
                             const at::Tensor& hessian);

}  // namespace laconic
