#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "laconic/file/gguf/gguf.h"

namespace laconic {

/// A tokenizer as llama.cpp's "gpt2" (byte-level BPE), "llama" (SentencePiece BPE) or, for a
/// directory without one, "none".
struct GgufTokenizer {
  std::vector<std::pair<std::string, GgufValue>> keys;
  std::vector<std::string> notes;
};

/// Reads tokenizer.json or else tokenizer.model, tokenizer_config.json and the ids of config.json.
/// @param vocabulary  rows of the embedding: ids without a token become "[PADi]".
/// @throws c10::ValueError naming file and field when malformed; c10::NotImplementedError for a
/// tokenizer that llama.cpp
///         does not have (it would split text otherwise).
GgufTokenizer read_gguf_tokenizer(const std::filesystem::path& directory,
                                  const nlohmann::json& config, int64_t vocabulary);

}  // namespace laconic
