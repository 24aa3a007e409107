#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>

namespace laconic {

/// Whole numbers of a NumPy file (format 1 to 3; int32 or int64, little endian, C order, one or two
/// dimensions), as int64.
/// @throws c10::ValueError naming the file and what of the header is wrong: everything is checked
/// before it is used.
at::Tensor read_npy_ids(const std::filesystem::path& path);

}  // namespace laconic
