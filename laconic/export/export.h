#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "laconic/load/native/native.h"

namespace laconic {

struct ExportReport {
  std::vector<std::filesystem::path> files;
  uint64_t bytes = 0;              ///< on disk, all files
  std::vector<std::string> notes;  ///< what a user should know, one sentence each
};

/// A row of the table of exporters. An export is a projection of a native directory: it never
/// changes a number.
struct Exporter {
  const char* name;  ///< "gguf", "compressed-tensors"
  const char* summary;
  bool makes_directory;  ///< else one file
  /// What stands in the way, one sentence each, naming layer, what it has, what fits; empty:
  /// exportable. Uses specs and configuration only, so it can be asked before any solving.
  /// @throws c10::ValueError when the configuration lacks a field or has a wrong one.
  std::vector<std::string> (*obstacles)(const nlohmann::json& config,
                                        const std::vector<NativeLayer>& layers);
  /// @throws c10::NotImplementedError listing the obstacles; c10::ValueError when `out` is there
  /// and `overwrite` is
  ///         not given; c10::Error when writing fails. `out` is whole or not there afterwards.
  ExportReport (*write)(const NativeDirectory& model, const std::filesystem::path& out,
                        bool overwrite);
};

std::span<const Exporter> exporters();
/// @throws c10::ValueError listing the known names.
const Exporter& find_exporter(const std::string& name);

/// What exporters read: a native directory (with a user's own parts of quantizers), or a plain
/// Hugging Face directory as one without quantized layers.
std::shared_ptr<const NativeDirectory> open_for_export(const std::filesystem::path& directory,
                                                       const QuantParts& parts = {});

}  // namespace laconic
