#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace laconic {

/// @param where  begins the message: the file or directory.
/// @throws c10::ValueError naming the tensor, how many of its elements are NaN or infinite, and
/// where the first is.
void check_finite(const std::string& where, const std::string& name, const at::Tensor& tensor);

}  // namespace laconic
