#include "laconic/export/gguf/tokenizer_keys.h"

#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "laconic/base/atomic_file.h"
#include "laconic/export/gguf/vocabulary.h"
#include "laconic/file/json/json.h"

namespace laconic {
namespace {

using nlohmann::json;

void set(GgufTokenizer& tokenizer, const std::string& key, GgufValue value) {
  tokenizer.keys.emplace_back("tokenizer." + key, std::move(value));
}

// The text of "bos_token" and its like: a string, or an object with "content".
std::string special_text(const json& config, const std::string& key) {
  const auto found = config.find(key);
  if (found == config.end()) return "";
  if (found->is_string()) return found->get<std::string>();
  const bool has_content =
      found->is_object() && found->contains("content") && found->at("content").is_string();
  return has_content ? found->at("content").get<std::string>() : "";
}

// "bos": by the tokenizer's own configuration, else by the id in config.json (the first of a list).
std::optional<int64_t> special_id(const std::string& name, const json& tokenizer_config,
                                  const json& config, const GgufVocabulary& vocabulary) {
  if (const auto id = vocabulary.id_of(special_text(tokenizer_config, name + "_token"))) return id;
  auto found = config.find(name + "_token_id");
  if (found == config.end()) return std::nullopt;
  const json& value = found->is_array() && !found->empty() ? found->front() : *found;
  const bool fits = value.is_number_unsigned() && value.get<uint64_t>() < vocabulary.tokens.size();
  return fits ? std::optional(value.get<int64_t>()) : std::nullopt;
}

json optional_json(const std::filesystem::path& path) {
  json value = std::filesystem::exists(path) ? read_json_file(path) : json::object();
  return value.is_object() ? value : json::object();
}

void check_distinct(const GgufVocabulary& vocabulary, const std::string& where) {
  std::set<std::string> seen;
  for (const std::string& token : vocabulary.tokens) {
    TORCH_CHECK_VALUE(seen.insert(token).second, where, ": expected every token once, got \"",
                      token, "\" twice; llama.cpp aborts on such a file.");
  }
}

void put_vocabulary(GgufTokenizer& tokenizer, const GgufVocabulary& vocabulary) {
  std::vector<int32_t> kinds;
  for (const TokenKind kind : vocabulary.kinds) kinds.push_back(static_cast<int32_t>(kind));
  set(tokenizer, "ggml.model", vocabulary.kind);
  set(tokenizer, "ggml.pre", vocabulary.pre);
  set(tokenizer, "ggml.tokens", GgufArray{vocabulary.tokens});
  if (!vocabulary.scores.empty()) set(tokenizer, "ggml.scores", GgufArray{vocabulary.scores});
  set(tokenizer, "ggml.token_type", GgufArray{kinds});
  if (vocabulary.kind == "gpt2") set(tokenizer, "ggml.merges", GgufArray{vocabulary.merges});
  if (vocabulary.kind != "gpt2") set(tokenizer, "ggml.add_space_prefix", vocabulary.adds_space);
  if (vocabulary.kind != "t5") return;
  set(tokenizer, "ggml.remove_extra_whitespaces", vocabulary.removes_extra_spaces);
  if (vocabulary.charsmap.empty()) return;
  const std::vector<uint8_t> charsmap(vocabulary.charsmap.begin(), vocabulary.charsmap.end());
  set(tokenizer, "ggml.precompiled_charsmap", GgufArray{charsmap});
}

void put_special(GgufTokenizer& tokenizer, const GgufVocabulary& vocabulary,
                 const json& tokenizer_config, const json& config) {
  // What goes around a text is what the tokenizer itself says.
  auto bos = vocabulary.begins_with_bos && vocabulary.bos
                 ? vocabulary.bos
                 : special_id("bos", tokenizer_config, config, vocabulary);
  auto eos = vocabulary.ends_with_eos && vocabulary.eos
                 ? vocabulary.eos
                 : special_id("eos", tokenizer_config, config, vocabulary);
  if (!bos || !eos) {
    tokenizer.notes.push_back(std::string("The tokenizer names no ") +
                              (bos   ? "eos"
                               : eos ? "bos"
                                     : "bos or eos") +
                              " token; llama.cpp wants both, so token " +
                              std::to_string(bos.value_or(eos.value_or(0))) + " stands in.");
  }
  if (!bos) bos = eos.value_or(0);
  if (!eos) eos = bos;
  const auto put_id = [&](const std::string& key, std::optional<int64_t> id) {
    if (id) set(tokenizer, key, static_cast<uint32_t>(*id));
  };
  put_id("ggml.bos_token_id", bos);
  put_id("ggml.eos_token_id", eos);
  put_id("ggml.unknown_token_id", vocabulary.unknown);
  put_id("ggml.padding_token_id", special_id("pad", tokenizer_config, config, vocabulary));
  set(tokenizer, "ggml.add_bos_token", vocabulary.begins_with_bos);
  set(tokenizer, "ggml.add_eos_token", vocabulary.ends_with_eos);
}

// These classes put their own flags in the place of what tokenizer.json says.
void apply_class_flags(GgufVocabulary& vocabulary, const json& tokenizer_config) {
  const auto found = tokenizer_config.find("tokenizer_class");
  const std::string name =
      found != tokenizer_config.end() && found->is_string() ? found->get<std::string>() : "";
  if (!name.starts_with("Llama") && !name.starts_with("Gemma") && !name.starts_with("CodeLlama"))
    return;
  const auto flag = [&](const char* key, bool otherwise) {
    const auto value = tokenizer_config.find(key);
    return value != tokenizer_config.end() && value->is_boolean() ? value->get<bool>() : otherwise;
  };
  vocabulary.begins_with_bos = flag("add_bos_token", vocabulary.begins_with_bos);
  vocabulary.ends_with_eos = flag("add_eos_token", vocabulary.ends_with_eos);
}

}  // namespace

GgufTokenizer read_gguf_tokenizer(const std::filesystem::path& directory, const json& config,
                                  int64_t size) {
  GgufTokenizer tokenizer;
  const auto as_json = directory / "tokenizer.json", as_model = directory / "tokenizer.model";
  const bool has_json = std::filesystem::exists(as_json);
  if (!has_json && !std::filesystem::exists(as_model)) {
    set(tokenizer, "ggml.model", std::string("none"));
    tokenizer.notes.push_back(
        directory.string() +
        " has no tokenizer.json or tokenizer.model: the file works with ids only.");
    return tokenizer;
  }
  const std::string where = "[gguf] " + (has_json ? as_json : as_model).string();
  GgufVocabulary vocabulary =
      has_json ? vocabulary_of_json(read_json_file(as_json), size, where)
               : vocabulary_of_sentencepiece(read_text_file(as_model), size, where);
  check_distinct(vocabulary, where);
  const json tokenizer_config = optional_json(directory / "tokenizer_config.json");
  apply_class_flags(vocabulary, tokenizer_config);
  put_vocabulary(tokenizer, vocabulary);
  put_special(tokenizer, vocabulary, tokenizer_config, config);
  tokenizer.notes.insert(tokenizer.notes.end(), vocabulary.notes.begin(), vocabulary.notes.end());
  const auto chat = tokenizer_config.find("chat_template");
  if (chat != tokenizer_config.end() && chat->is_string())
    set(tokenizer, "chat_template", chat->get<std::string>());
  else if (std::filesystem::exists(directory / "chat_template.jinja")) {
    set(tokenizer, "chat_template", read_text_file(directory / "chat_template.jinja"));
  }
  return tokenizer;
}

}  // namespace laconic
