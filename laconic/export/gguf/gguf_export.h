#pragma once

#include "laconic/export/export.h"

namespace laconic {

/// What a file holds.
enum class GgufPrecision {
  kExact,  ///< quantized layers as integer blocks, the rest in the smallest float type that keeps
           ///< every number
  kF32,  ///< every number as float32, quantized layers dequantized: for checks and for other tools
  kF16,  ///< matrices rounded to float16
};

std::vector<std::string> gguf_obstacles(const nlohmann::json& config,
                                        const std::vector<NativeLayer>& layers,
                                        GgufPrecision precision);
ExportReport write_gguf(const NativeDirectory& model, const std::filesystem::path& out,
                        bool overwrite, GgufPrecision precision);

}  // namespace laconic
