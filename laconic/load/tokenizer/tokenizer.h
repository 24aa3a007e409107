#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace laconic {

/// Text -> ids as the `tokenizers` package does it, id for id, from tokenizer.json or
/// tokenizer.model. Immutable after loading; `encode` is const and may run on several threads.
class Tokenizer {
 public:
  /// Reads `directory`/tokenizer.json, or else `directory`/tokenizer.model.
  /// @throws c10::ValueError naming file and field when absent, malformed, or of an unknown kind.
  static std::shared_ptr<const Tokenizer> load(const std::filesystem::path& directory);
  static std::shared_ptr<const Tokenizer> from_json(std::string_view json,
                                                    const std::string& where);
  static std::shared_ptr<const Tokenizer> from_sentencepiece(std::string_view bytes,
                                                             const std::string& where);
  virtual ~Tokenizer() = default;

  /// @param add_special_tokens  apply the post-processor's template (BOS and so on).
  /// @throws c10::ValueError with the byte offset when `text` is not UTF-8.
  virtual std::vector<int64_t> encode(std::string_view text,
                                      bool add_special_tokens = false) const = 0;

  /// Bytes of the ids joined by the decoder; unknown ids are skipped.
  virtual std::string decode(std::span<const int64_t> ids,
                             bool skip_special_tokens = false) const = 0;

  /// Number of ids, added tokens included (largest id + 1).
  virtual int64_t size() const = 0;
  virtual std::optional<int64_t> id_of(std::string_view token) const = 0;
};

}  // namespace laconic
