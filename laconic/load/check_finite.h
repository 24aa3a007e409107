#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "laconic/load/language_model.h"

namespace laconic {

/// @param where  begins the message: the file or directory.
/// @throws c10::ValueError naming the tensor, how many of its elements are NaN or infinite, and
/// where the first is.
void check_finite(const std::string& where, const std::string& name, const at::Tensor& tensor);

/// Every parameter that the network reads, one after another.
void check_finite(const LanguageModel& model);

}  // namespace laconic
