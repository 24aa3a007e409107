#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>

#include "laconic/export/gguf/json_parts.h"
#include "laconic/export/gguf/rope_keys.h"
#include "laconic/export/gguf/vocabulary.h"

namespace laconic {
namespace {

using nlohmann::json;

// Patterns as tokenizer.json files have them, and a word for each.
struct Pattern {
  const char* word;
  const char* regex;
};
constexpr Pattern kPatterns[] = {
    {"gpt2", R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    {"llama3",
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {"qwen2",
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
};

// What llama.cpp calls a sequence of splits. "llama3" has two names: llama-bpe looks whole words up
// before it merges.
struct Rule {
  const char* words;
  bool looks_words_up;
  const char* pre;
};
constexpr Rule kRules[] = {
    {"gpt2", false, "gpt-2"},       {"digits+gpt2", false, "starcoder"}, {"qwen2", false, "qwen2"},
    {"llama3", false, "smaug-bpe"}, {"llama3", true, "llama-bpe"},
};

// What a part does, as one word; empty: nothing; "?": something that llama.cpp may not have.
std::string word_of(const json& part) {
  const std::string type = text_or(part, "type", "");
  if (type == "ByteLevel") {
    if (flag_or(part, "add_prefix_space", true)) return "?";
    return flag_or(part, "use_regex", true) ? "gpt2" : "";
  }
  if (type == "Digits") return flag_or(part, "individual_digits", false) ? "digits" : "?";
  const bool splits = type == "Split" && text_or(part, "behavior", "") == "Isolated" &&
                      !flag_or(part, "invert", false);
  if (!splits) return "?";
  const std::string regex = regex_pattern(part);
  for (const Pattern& pattern : kPatterns) {
    if (regex == pattern.regex) return pattern.word;
  }
  return regex == R"(\p{N})" ? "digits" : "?";
}

void check_normalizer(const json& tokenizer, const std::string& where, PreTokenizerRule& rule) {
  for_each_part(tokenizer, "normalizer", "normalizers", [&](const json& part) {
    const std::string type = text_or(part, "type", "");
    TORCH_CHECK_NOT_IMPLEMENTED(type == "NFC", where, ": normalizer: expected none or NFC, got ",
                                type, ", which llama.cpp does not apply. ", kNearest);
    rule.notes.emplace_back(
        "llama.cpp does not normalize text (NFC): text in another form gets other ids.");
  });
}

}  // namespace

PreTokenizerRule pre_tokenizer_rule(const json& tokenizer, const std::string& where) {
  std::string words;
  for_each_part(tokenizer, "pre_tokenizer", "pretokenizers", [&](const json& part) {
    const std::string word = word_of(part);
    if (!word.empty()) words += (words.empty() ? "" : "+") + word;
  });
  const bool looks_words_up = flag_or(tokenizer.at("model"), "ignore_merges", false);
  PreTokenizerRule rule;
  bool exact = false;
  for (const Rule& row : kRules) {
    if (words != row.words || exact) continue;
    rule.pre = row.pre;
    exact = row.looks_words_up == looks_words_up;
  }
  TORCH_CHECK_NOT_IMPLEMENTED(!rule.pre.empty(), where,
                              ": pre_tokenizer: expected the splitting of GPT-2, Llama 3, Qwen 2 "
                              "or StarCoder, got another, "
                              "for which llama.cpp's name is not known here. ",
                              kNearest);
  if (!exact) {
    rule.notes.emplace_back(
        "The tokenizer looks whole words up before it merges (ignore_merges), llama.cpp's does "
        "not: rare "
        "words may get other ids.");
  }
  check_normalizer(tokenizer, where, rule);
  return rule;
}

}  // namespace laconic
