#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "laconic/load/native/native.h"

namespace laconic {

/// How large a model is on disk.
struct ModelSize {
  int64_t quantized_parameters = 0, parameters = 0;
  double bits_per_weight = 0;  ///< of the quantized layers: codes, scales, zero points and choices
                               ///< of tables; 0 without any
  double bits_per_parameter = 0;  ///< of the whole model: stored bytes of all tensors
  uint64_t bytes = 0;             ///< of all tensors as stored
};

/// Bits that `layer` takes for each weight in a file that stores its scales as the spec says
/// (float32 when it says nothing) and whole zero points as codes.
double bits_per_weight(const NativeLayer& layer);

/// @param parts  the program's own, which a native directory's specs may name.
/// @throws c10::ValueError when the directory holds no model.
ModelSize measure_size(const std::filesystem::path& directory, const QuantParts& parts = {});

}  // namespace laconic
