#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "laconic/calibrate/engine.h"

namespace laconic {

/// What a resumed run needs besides the shards: the reports of the layers in them. Files
/// "journal-N.json" in the working directory; NativeWriter::finish removes them.
void write_journal(const std::filesystem::path& directory, int shard,
                   const std::vector<LayerReport>& reports);
/// Nothing when the file is absent or damaged: the numbers of the model do not depend on it.
std::vector<LayerReport> read_journal(const std::filesystem::path& directory, int shard);

LayerReport layer_report_from_json(const nlohmann::json& json);

/// The shard's file in the working directory; empty when there is none.
std::filesystem::path shard_path(const std::filesystem::path& directory, int shard, int count);

}  // namespace laconic
