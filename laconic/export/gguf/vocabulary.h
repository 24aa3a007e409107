#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace laconic {

/// llama.cpp's kinds of tokens.
enum class TokenKind : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

/// The tokens of a model in the order of their ids; ids that nothing names are "[PADi]" and unused.
struct GgufVocabulary {
  std::vector<std::string> tokens;
  std::vector<TokenKind> kinds;
  std::vector<float> scores;        ///< SentencePiece only: the higher, the earlier a merge, or the
                                    ///< likelier a piece
  std::vector<std::string> merges;  ///< byte-level BPE only: "a b", most frequent first
  std::string kind;         ///< "gpt2", "llama" (SentencePiece BPE), "t5" (SentencePiece Unigram)
  std::string pre;          ///< how text is split before merging
  std::string charsmap;     ///< Unigram only: SentencePiece's table of replacements
  bool adds_space = false;  ///< a space goes before the text
  bool removes_extra_spaces = false;  ///< Unigram only: at both ends, and all but one between words
  bool begins_with_bos = false, ends_with_eos = false;
  std::optional<int64_t> unknown;
  std::optional<int64_t> bos, eos;  ///< those that go around a text, when the tokenizer says so
  std::vector<std::string> notes;

  std::optional<int64_t> id_of(const std::string& token) const;
};

/// @param size  rows of the embedding.
/// @throws as read_gguf_tokenizer.
GgufVocabulary vocabulary_of_json(const nlohmann::json& tokenizer, int64_t size,
                                  const std::string& where);
GgufVocabulary vocabulary_of_sentencepiece(const std::string& bytes, int64_t size,
                                           const std::string& where);

/// Spaces of a tokenizer.json that writes them as U+2581, and what it does to a text before.
/// @throws c10::NotImplementedError for what llama.cpp's SentencePiece does not do.
void read_spaces(GgufVocabulary& vocabulary, const nlohmann::json& tokenizer,
                 const std::string& where);

/// @throws c10::NotImplementedError: llama.cpp's Unigram has no tokens for bytes, and puts a space
/// before a text whenever it removes extra ones. Notes what it takes otherwise.
void check_unigram(GgufVocabulary& vocabulary, bool byte_fallback, const std::string& where);

/// `size` unused tokens.
GgufVocabulary empty_vocabulary(int64_t size);

/// The name of llama.cpp's splitting rule that is the same as this pre-tokenizer's.
struct PreTokenizerRule {
  std::string pre;
  std::vector<std::string> notes;
};
PreTokenizerRule pre_tokenizer_rule(const nlohmann::json& tokenizer, const std::string& where);

}  // namespace laconic
