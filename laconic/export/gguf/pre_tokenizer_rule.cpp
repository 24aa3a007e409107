#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>

#include "laconic/export/gguf/rope_keys.h"
#include "laconic/export/gguf/vocabulary.h"

namespace laconic {
namespace {

using nlohmann::json;

constexpr const char* kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

std::string text_at(const json& part, const char* key) {
  const auto found = part.find(key);
  return found != part.end() && found->is_string() ? found->get<std::string>() : "";
}

bool flag_at(const json& part, const char* key, bool otherwise) {
  const auto found = part.find(key);
  return found != part.end() && found->is_boolean() ? found->get<bool>() : otherwise;
}

std::vector<json> parts_of(const json& tokenizer, const char* kind, const char* list) {
  const auto found = tokenizer.find(kind);
  if (found == tokenizer.end() || !found->is_object()) return {};
  if (text_at(*found, "type") != "Sequence") return {*found};
  std::vector<json> parts;
  const auto inner = found->find(list);
  if (inner == found->end() || !inner->is_array()) return parts;
  for (const json& part : *inner) {
    if (part.is_object()) parts.push_back(part);
  }
  return parts;
}

// What the parts do, as one word each: "gpt2", "llama3", "qwen2", "digits"; "?" for anything else.
std::string signature(const json& part) {
  const std::string type = text_at(part, "type");
  if (type == "ByteLevel") {
    if (flag_at(part, "add_prefix_space", true)) return "?";
    return flag_at(part, "use_regex", true) ? "gpt2" : "";
  }
  if (type == "Digits") return flag_at(part, "individual_digits", false) ? "digits" : "?";
  const auto pattern = part.find("pattern");
  const bool splits =
      type == "Split" && text_at(part, "behavior") == "Isolated" && !flag_at(part, "invert", false);
  if (!splits || pattern == part.end() || !pattern->is_object()) return "?";
  const std::string regex = text_at(*pattern, "Regex");
  if (regex == kGpt2) return "gpt2";
  if (regex == kLlama3) return "llama3";
  return regex == kQwen2 ? "qwen2" : "?";
}

}  // namespace

PreTokenizerRule pre_tokenizer_rule(const json& tokenizer, const std::string& where) {
  std::string all;
  for (const json& part : parts_of(tokenizer, "pre_tokenizer", "pretokenizers")) {
    const std::string one = signature(part);
    if (!one.empty()) all += (all.empty() ? "" : "+") + one;
  }
  const bool ignores_merges = flag_at(tokenizer.at("model"), "ignore_merges", false);
  PreTokenizerRule rule;
  if (all == "gpt2") rule.pre = "gpt-2";
  if (all == "digits+gpt2") rule.pre = "starcoder";
  if (all == "qwen2") rule.pre = "qwen2";
  // The same pattern twice in llama.cpp: llama-bpe looks whole words up before it merges.
  if (all == "llama3") rule.pre = ignores_merges ? "llama-bpe" : "smaug-bpe";
  TORCH_CHECK_NOT_IMPLEMENTED(!rule.pre.empty(), where,
                              ": pre_tokenizer: expected the splitting of GPT-2, Llama 3, Qwen 2 "
                              "or StarCoder, got another, "
                              "for which llama.cpp's name is not known here. ",
                              kNearest);
  if (ignores_merges && rule.pre != "llama-bpe") {
    rule.notes.emplace_back(
        "The tokenizer looks whole words up before it merges (ignore_merges), llama.cpp's does "
        "not: rare "
        "words may get other ids.");
  }
  for (const json& part : parts_of(tokenizer, "normalizer", "normalizers")) {
    const std::string type = text_at(part, "type");
    TORCH_CHECK_NOT_IMPLEMENTED(type == "NFC", where, ": normalizer: expected none or NFC, got ",
                                type, ", which llama.cpp does not apply. ", kNearest);
    rule.notes.emplace_back(
        "llama.cpp does not normalize text (NFC): text in another form gets other ids.");
  }
  return rule;
}

}  // namespace laconic
