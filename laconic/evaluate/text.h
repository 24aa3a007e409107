#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "laconic/load/language_model.h"

namespace laconic {

/// Ids of a text file by the model's tokenizer, without special tokens.
/// @throws c10::ValueError naming the file: absent, empty, not UTF-8 (with the byte), or the model
/// has no tokenizer.
std::vector<int64_t> read_tokens(const LanguageModel& model, const std::filesystem::path& text);

}  // namespace laconic
