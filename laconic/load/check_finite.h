#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace laconic {

/// Whether a tensor has neither NaN nor infinity. One pass, in bands: no copy of the whole.
bool is_finite(const at::Tensor& tensor);

/// @param where  begins the message: the file or directory.
/// @throws c10::ValueError naming the tensor, how many of its elements are NaN or infinite, and
/// where the first is.
void check_finite(const std::string& where, const std::string& name, const at::Tensor& tensor);

}  // namespace laconic
