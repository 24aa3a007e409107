#pragma once

#include "laconic/export/export.h"

namespace laconic {

std::vector<std::string> compressed_tensors_obstacles(const nlohmann::json& config,
                                                      const std::vector<NativeLayer>& layers);

/// A Hugging Face directory: config.json with quantization_config, shards, and the other files of
/// the model.
ExportReport write_compressed_tensors(const NativeDirectory& model,
                                      const std::filesystem::path& out, bool overwrite);

}  // namespace laconic
