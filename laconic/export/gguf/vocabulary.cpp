#include "laconic/export/gguf/vocabulary.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "laconic/export/gguf/rope_keys.h"

namespace laconic {
namespace {

using nlohmann::json;

const json& field(const json& object, const char* key, const std::string& where) {
  TORCH_CHECK_VALUE(object.is_object() && object.contains(key), where, ": expected a field \"", key,
                    "\", got none.");
  return object.at(key);
}

std::string text_or(const json& object, const char* key, const std::string& otherwise) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() && found->is_string()
             ? found->get<std::string>()
             : otherwise;
}

bool flag_or(const json& object, const char* key, bool otherwise) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() && found->is_boolean() ? found->get<bool>()
                                                                            : otherwise;
}

int64_t id_of_json(const json& value, const std::string& where, const std::string& token) {
  TORCH_CHECK_VALUE(value.is_number_unsigned() && value.get<uint64_t>() < (uint64_t{1} << 31),
                    where, ": token \"", token, "\": expected an id, got ", value.dump(), ".");
  return value.get<int64_t>();
}

void place(GgufVocabulary& vocabulary, int64_t id, const std::string& token, TokenKind kind,
           const std::string& where) {
  const auto size = static_cast<int64_t>(vocabulary.tokens.size());
  TORCH_CHECK_VALUE(id < size, where, ": token \"", token, "\" has the id ", id,
                    ", but the model knows ", size,
                    " ids (vocab_size). Tokenizer and model do not belong together.");
  vocabulary.tokens[static_cast<size_t>(id)] = token;
  vocabulary.kinds[static_cast<size_t>(id)] = kind;
}

bool is_byte_token(const std::string& token) {
  return token.size() == 6 && token.starts_with("<0x") && token.back() == '>';
}

// Calls `function` on a part or, for a Sequence, on each of its parts.
void for_each_part(const json& part, const char* parts,
                   const std::function<void(const json&)>& function) {
  if (!part.is_object()) return;
  if (text_or(part, "type", "") != "Sequence") return function(part);
  const auto found = part.find(parts);
  if (found == part.end() || !found->is_array()) return;
  for (const json& inner : *found) for_each_part(inner, parts, function);
}

std::vector<std::pair<std::string, std::string>> read_merges(const json& model,
                                                             const std::string& where) {
  std::vector<std::pair<std::string, std::string>> merges;
  const json& list = field(model, "merges", where);
  TORCH_CHECK_VALUE(list.is_array(), where, ": model.merges: expected a list, got ",
                    list.type_name(), ".");
  for (const json& merge : list) {
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
      continue;
    }
    const size_t space =
        merge.is_string() ? merge.get_ref<const std::string&>().find(' ', 1) : std::string::npos;
    TORCH_CHECK_VALUE(space != std::string::npos, where, ": model.merges[", merges.size(),
                      "]: expected two tokens, got ", merge.dump(), ".");
    const auto& text = merge.get_ref<const std::string&>();
    merges.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  return merges;
}

// SentencePiece merges the pair with the highest score first: the order of the merges, downwards.
void put_scores(GgufVocabulary& vocabulary,
                const std::vector<std::pair<std::string, std::string>>& merges) {
  constexpr float kNever = -1e6F;
  std::map<std::string, float> ranks;
  for (size_t i = 0; i < merges.size(); ++i)
    ranks.emplace(merges[i].first + merges[i].second, -static_cast<float>(i));
  vocabulary.scores.assign(vocabulary.tokens.size(), kNever);
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const auto rank = ranks.find(vocabulary.tokens[i]);
    if (rank != ranks.end()) vocabulary.scores[i] = rank->second;
    if (vocabulary.kinds[i] != TokenKind::kNormal) vocabulary.scores[i] = 0;
  }
}

void place_tokens(GgufVocabulary& vocabulary, const json& tokenizer, const json& model,
                  const std::string& where) {
  const json& tokens = field(model, "vocab", where + ": model");
  TORCH_CHECK_VALUE(tokens.is_object() && !tokens.empty(), where,
                    ": model.vocab: expected tokens and their ids, got none.");
  const bool bytes = flag_or(model, "byte_fallback", false);
  for (const auto& [token, id] : tokens.items()) {
    place(vocabulary, id_of_json(id, where, token), token,
          bytes && is_byte_token(token) ? TokenKind::kByte : TokenKind::kNormal, where);
  }
  const auto added = tokenizer.find("added_tokens");
  if (added != tokenizer.end() && added->is_array()) {
    for (const json& token : *added) {
      const std::string content = text_or(token, "content", "");
      const bool special = flag_or(token, "special", false);
      place(vocabulary, id_of_json(field(token, "id", where + ": added_tokens"), where, content),
            content, special ? TokenKind::kControl : TokenKind::kUserDefined, where);
    }
  }
  const std::string unknown = text_or(model, "unk_token", "");
  if (unknown.empty()) return;
  vocabulary.unknown = vocabulary.id_of(unknown);
  if (vocabulary.unknown)
    vocabulary.kinds[static_cast<size_t>(*vocabulary.unknown)] = TokenKind::kUnknown;
}

// Special tokens that the post-processor puts around a text.
void read_template(GgufVocabulary& vocabulary, const json& tokenizer) {
  for_each_part(tokenizer.value("post_processor", json()), "processors", [&](const json& part) {
    const auto single = part.find("single");
    if (text_or(part, "type", "") != "TemplateProcessing" || single == part.end() ||
        !single->is_array())
      return;
    if (single->empty()) return;
    vocabulary.begins_with_bos =
        single->front().is_object() && single->front().contains("SpecialToken");
    vocabulary.ends_with_eos =
        single->back().is_object() && single->back().contains("SpecialToken");
  });
}

bool is_byte_level(const json& tokenizer) {
  bool found = false;
  for_each_part(tokenizer.value("pre_tokenizer", json()), "pretokenizers", [&](const json& part) {
    found = found || text_or(part, "type", "") == "ByteLevel";
  });
  return found;
}

// "▁" for spaces, by a normalizer (Prepend, Replace) or a pre-tokenizer (Metaspace).
void read_spaces(GgufVocabulary& vocabulary, const json& tokenizer, const std::string& where) {
  bool replaces = false;
  for_each_part(tokenizer.value("normalizer", json()), "normalizers", [&](const json& part) {
    const std::string type = text_or(part, "type", "");
    vocabulary.adds_space = vocabulary.adds_space || type == "Prepend";
    replaces = replaces || (type == "Replace" && text_or(part, "content", "") == "\u2581");
  });
  for_each_part(tokenizer.value("pre_tokenizer", json()), "pretokenizers", [&](const json& part) {
    if (text_or(part, "type", "") != "Metaspace") return;
    replaces = true;
    const std::string scheme = text_or(
        part, "prepend_scheme", flag_or(part, "add_prefix_space", true) ? "always" : "never");
    vocabulary.adds_space = vocabulary.adds_space || scheme != "never";
  });
  TORCH_CHECK_NOT_IMPLEMENTED(replaces, where,
                              ": expected byte-level BPE, or BPE that writes spaces as U+2581, got "
                              "another tokenizer, which "
                              "llama.cpp does not have. ",
                              kNearest);
}

}  // namespace

std::optional<int64_t> GgufVocabulary::id_of(const std::string& token) const {
  const auto found = std::find(tokens.begin(), tokens.end(), token);
  if (token.empty() || found == tokens.end()) return std::nullopt;
  return found - tokens.begin();
}

GgufVocabulary empty_vocabulary(int64_t size) {
  GgufVocabulary vocabulary;
  for (int64_t i = 0; i < size; ++i) vocabulary.tokens.push_back("[PAD" + std::to_string(i) + "]");
  vocabulary.kinds.assign(static_cast<size_t>(size), TokenKind::kUnused);
  return vocabulary;
}

GgufVocabulary vocabulary_of_json(const json& tokenizer, int64_t size, const std::string& where) {
  const json& model = field(tokenizer, "model", where);
  const std::string type = text_or(model, "type", "BPE");
  TORCH_CHECK_NOT_IMPLEMENTED(type == "BPE", where, ": model.type: expected BPE, got ", type,
                              ", which llama.cpp's language models do not have. ", kNearest);
  GgufVocabulary vocabulary = empty_vocabulary(size);
  place_tokens(vocabulary, tokenizer, model, where);
  read_template(vocabulary, tokenizer);
  const auto merges = read_merges(model, where);
  if (is_byte_level(tokenizer)) {
    vocabulary.kind = "gpt2";
    PreTokenizerRule rule = pre_tokenizer_rule(tokenizer, where);
    vocabulary.pre = rule.pre;
    vocabulary.notes = std::move(rule.notes);
    for (const auto& [first, second] : merges) vocabulary.merges.push_back(first + " " + second);
    return vocabulary;
  }
  vocabulary.kind = "llama";
  vocabulary.pre = "default";
  read_spaces(vocabulary, tokenizer, where);
  put_scores(vocabulary, merges);
  if (!flag_or(model, "byte_fallback", false)) {
    vocabulary.notes.emplace_back(
        "The tokenizer has no tokens for bytes: llama.cpp fails on characters that it does not "
        "know.");
  }
  return vocabulary;
}

}  // namespace laconic
