#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "laconic/recipe/recipe.h"

namespace laconic {

/// What makes two jobs the same: equal fingerprints of model, recipe and calibration tokens.
struct JobIdentity {
  std::string model, recipe, data;
  bool operator==(const JobIdentity&) const = default;
};

/// @param model  directory: its configuration, tokenizer and weights count, by content.
/// @param data   the calibration text; may be empty.
JobIdentity identify_job(const std::filesystem::path& model, const Recipe& recipe,
                         const std::filesystem::path& data);

/// Opens the journal of a working directory, and makes it when there is none.
/// @returns true when an earlier run of the same job left it.
/// @throws c10::ValueError naming what differs when the directory is of another job, or has no
/// journal but files.
bool open_journal(const std::filesystem::path& working_directory, const JobIdentity& identity);

}  // namespace laconic
