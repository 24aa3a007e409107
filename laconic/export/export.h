#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "laconic/load/native/native.h"

namespace laconic {

struct ExportReport {
  std::vector<std::filesystem::path> files;
  uint64_t bytes = 0;               ///< on disk, all files
  std::vector<std::string> notes;   ///< what a user should know, one sentence each
};

/// A row of the table of exporters. An export is a projection of a native directory: it never changes a number.
struct Exporter {
  const char* name;       ///< "gguf", "compressed-tensors"
  const char* summary;
  bool makes_directory;   ///< else one file
  /// What stands in the way, one sentence each, naming layer, what it has, what fits; empty: exportable.
  /// Uses specs and configuration only, so it can be asked before any solving.
  std::vector<std::string> (*obstacles)(const nlohmann::json& config, const std::vector<NativeLayer>& layers);
  ExportReport (*write)(const NativeDirectory& model, const std::filesystem::path& out, bool overwrite);
};

std::span<const Exporter> exporters();
/// @throws c10::ValueError listing the known names.
const Exporter& find_exporter(const std::string& name);

}  // namespace laconic
