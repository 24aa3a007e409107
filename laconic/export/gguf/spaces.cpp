#include <c10/util/Exception.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "laconic/base/base64.h"
#include "laconic/export/gguf/json_parts.h"
#include "laconic/export/gguf/rope_keys.h"
#include "laconic/export/gguf/vocabulary.h"

namespace laconic {
namespace {

using nlohmann::json;
constexpr const char* kMark = "\u2581";

class Spaces {
 public:
  Spaces(GgufVocabulary& vocabulary, const std::string& where)
      : vocabulary_(vocabulary), where_(where), unigram_(vocabulary.kind == "t5") {}

  void read(const json& tokenizer) {
    for_each_part(tokenizer, "normalizer", "normalizers",
                  [&](const json& part) { read_normalizer(part); });
    for_each_part(tokenizer, "pre_tokenizer", "pretokenizers",
                  [&](const json& part) { read_pre_tokenizer(part); });
    TORCH_CHECK_NOT_IMPLEMENTED(replaces_, where_,
                                ": expected byte-level BPE, or a tokenizer that writes spaces as "
                                "U+2581, got another, which llama.cpp does not have. ",
                                kNearest);
    if (splits_ && has_inner_mark()) {
      vocabulary_.notes.emplace_back(
          "The tokenizer splits text at spaces before it looks for tokens, llama.cpp's does not: "
          "runs of spaces may get other ids.");
    }
  }

 private:
  [[noreturn]] void refuse(const char* kind, const json& part) const {
    TORCH_CHECK_NOT_IMPLEMENTED(false, where_, ": ", kind, ": got ", text_or(part, "type", "none"),
                                ", which llama.cpp's SentencePiece does not do. ", kNearest);
  }

  void read_normalizer(const json& part) {
    const std::string type = text_or(part, "type", "");
    const bool first = !seen_;
    seen_ = true;
    if (type == "Prepend" && text_or(part, "prepend", "") == kMark) {
      vocabulary_.adds_space = true;
    } else if (type == "Replace" && literal_pattern(part) == " " &&
               text_or(part, "content", "") == kMark) {
      replaces_ = true;
    } else if (unigram_ && type == "Precompiled" && first) {
      read_charsmap(part);
    } else if (unigram_ && type == "Replace" && regex_pattern(part) == " {2,}") {
      vocabulary_.removes_extra_spaces = true;
    } else if (!unigram_ || type != "Strip" || flag_or(part, "strip_left", true)) {
      refuse("normalizer", part);
    }
  }

  void read_pre_tokenizer(const json& part) {
    const std::string type = text_or(part, "type", "");
    if (unigram_ && type == "WhitespaceSplit") {
      vocabulary_.removes_extra_spaces = true;
      return;
    }
    if (type != "Metaspace" || text_or(part, "replacement", kMark) != kMark)
      refuse("pre_tokenizer", part);
    replaces_ = true;
    splits_ = flag_or(part, "split", true);
    const std::string scheme = text_or(
        part, "prepend_scheme", flag_or(part, "add_prefix_space", true) ? "always" : "never");
    if (scheme == "never") return;
    vocabulary_.adds_space = true;
    vocabulary_.notes.emplace_back(
        scheme == "first" ? "llama.cpp puts a space after each special token too, and before text "
                            "that begins with one: such text gets other ids."
                          : "llama.cpp puts a space also before text that begins with one: such "
                            "text gets other ids.");
  }

  void read_charsmap(const json& part) {
    const auto bytes = decode_base64(text_or(part, "precompiled_charsmap", ""));
    TORCH_CHECK_VALUE(bytes, where_, ": normalizer: precompiled_charsmap: expected base64.");
    vocabulary_.charsmap = *bytes;
  }

  // A token with a space inside, which splitting first would never find.
  bool has_inner_mark() const {
    return std::any_of(vocabulary_.tokens.begin(), vocabulary_.tokens.end(),
                       [](const std::string& token) {
                         const size_t last = token.rfind(kMark);
                         return last != std::string::npos && last > 0;
                       });
  }

  GgufVocabulary& vocabulary_;
  const std::string& where_;
  bool unigram_;
  bool replaces_ = false, splits_ = false, seen_ = false;
};

}  // namespace

void read_spaces(GgufVocabulary& vocabulary, const json& tokenizer, const std::string& where) {
  Spaces(vocabulary, where).read(tokenizer);
}

}  // namespace laconic
