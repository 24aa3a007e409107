#include "laconic/export/gguf/vocabulary.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "laconic/export/gguf/json_parts.h"
#include "laconic/export/gguf/rope_keys.h"

namespace laconic {
namespace {

using nlohmann::json;

const json& field(const json& object, const char* key, const std::string& where) {
  TORCH_CHECK_VALUE(object.is_object() && object.contains(key), where, ": expected a field \"", key,
                    "\", got none.");
  return object.at(key);
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

// {token: id} of BPE.
void place_bpe_tokens(GgufVocabulary& vocabulary, const json& model, const std::string& where) {
  const json& tokens = field(model, "vocab", where + ": model");
  TORCH_CHECK_VALUE(tokens.is_object() && !tokens.empty(), where,
                    ": model.vocab: expected tokens and their ids, got none.");
  const bool bytes = flag_or(model, "byte_fallback", false);
  for (const auto& [token, id] : tokens.items()) {
    place(vocabulary, id_of_json(id, where, token), token,
          bytes && is_byte_token(token) ? TokenKind::kByte : TokenKind::kNormal, where);
  }
}

// [[token, score]] of Unigram; ids are positions.
void place_unigram_tokens(GgufVocabulary& vocabulary, const json& model, const std::string& where) {
  const json& tokens = field(model, "vocab", where + ": model");
  TORCH_CHECK_VALUE(tokens.is_array() && !tokens.empty(), where,
                    ": model.vocab: expected tokens and their scores, got none.");
  vocabulary.scores.assign(vocabulary.tokens.size(), 0);
  for (size_t id = 0; id < tokens.size(); ++id) {
    const json& row = tokens[id];
    const bool fits = row.is_array() && row.size() == 2 && row[0].is_string() && row[1].is_number();
    TORCH_CHECK_VALUE(fits, where, ": model.vocab[", id, "]: expected a token and its score, got ",
                      row.dump(-1, ' ', false, json::error_handler_t::replace), ".");
    place(vocabulary, static_cast<int64_t>(id), row[0].get<std::string>(), TokenKind::kNormal,
          where);
    vocabulary.scores[id] = row[1].get<float>();
  }
  const auto unknown = model.find("unk_id");
  if (unknown == model.end() || unknown->is_null()) return;
  vocabulary.unknown = id_of_json(*unknown, where, "unk_id");
  TORCH_CHECK_VALUE(*vocabulary.unknown < static_cast<int64_t>(tokens.size()), where,
                    ": model.unk_id: expected an id below ", tokens.size(), ", got ",
                    *vocabulary.unknown, ".");
}

void place_added_tokens(GgufVocabulary& vocabulary, const json& tokenizer,
                        const std::string& where) {
  const auto added = tokenizer.find("added_tokens");
  if (added == tokenizer.end() || !added->is_array()) return;
  for (const json& token : *added) {
    const std::string content = text_or(token, "content", "");
    const bool special = flag_or(token, "special", false);
    place(vocabulary, id_of_json(field(token, "id", where + ": added_tokens"), where, content),
          content, special ? TokenKind::kControl : TokenKind::kUserDefined, where);
  }
}

void mark_unknown(GgufVocabulary& vocabulary, const json& model) {
  const std::string unknown = text_or(model, "unk_token", "");
  if (!unknown.empty()) vocabulary.unknown = vocabulary.id_of(unknown);
  if (vocabulary.unknown)
    vocabulary.kinds[static_cast<size_t>(*vocabulary.unknown)] = TokenKind::kUnknown;
}

// The special token of an end of a template: {"SpecialToken": {"id": "<s>"}}.
std::optional<int64_t> special_of(const GgufVocabulary& vocabulary, const json& end) {
  if (!end.is_object() || !end.contains("SpecialToken")) return std::nullopt;
  return vocabulary.id_of(text_or(end.at("SpecialToken"), "id", ""));
}

// ["<s>", 0] of BertProcessing and RobertaProcessing.
std::optional<int64_t> first_of(const GgufVocabulary& vocabulary, const json& part,
                                const char* key) {
  const auto pair = part.find(key);
  const bool fits =
      pair != part.end() && pair->is_array() && !pair->empty() && pair->front().is_string();
  return fits ? vocabulary.id_of(pair->front().get<std::string>()) : std::nullopt;
}

// Special tokens that the post-processor puts around a text.
void read_template(GgufVocabulary& vocabulary, const json& tokenizer) {
  for_each_part(tokenizer, "post_processor", "processors", [&](const json& part) {
    const std::string type = text_or(part, "type", "");
    if (type == "BertProcessing" || type == "RobertaProcessing") {
      vocabulary.bos = first_of(vocabulary, part, "cls");
      vocabulary.eos = first_of(vocabulary, part, "sep");
    }
    const auto single = part.find("single");
    const bool is_template = type == "TemplateProcessing" && single != part.end() &&
                             single->is_array() && !single->empty();
    if (is_template) {
      vocabulary.bos = special_of(vocabulary, single->front());
      vocabulary.eos = special_of(vocabulary, single->back());
    }
  });
  vocabulary.begins_with_bos = vocabulary.bos.has_value();
  vocabulary.ends_with_eos = vocabulary.eos.has_value();
}

bool is_byte_level(const json& tokenizer) {
  bool found = false;
  for_each_part(tokenizer, "pre_tokenizer", "pretokenizers", [&](const json& part) {
    found = found || text_or(part, "type", "") == "ByteLevel";
  });
  return found;
}

void check_bpe(const json& model, const std::string& where) {
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const std::string mark = text_or(model, key, "");
    TORCH_CHECK_NOT_IMPLEMENTED(mark.empty(), where, ": model.", key, ": expected none, got \"",
                                mark, "\", which llama.cpp does not have. ", kNearest);
  }
}

void read_bpe(GgufVocabulary& vocabulary, const json& tokenizer, const std::string& where) {
  const json& model = tokenizer.at("model");
  check_bpe(model, where);
  const auto merges = read_merges(model, where);
  if (is_byte_level(tokenizer)) {
    vocabulary.kind = "gpt2";
    PreTokenizerRule rule = pre_tokenizer_rule(tokenizer, where);
    vocabulary.pre = rule.pre;
    vocabulary.notes = std::move(rule.notes);
    for (const auto& [first, second] : merges) vocabulary.merges.push_back(first + " " + second);
    return;
  }
  vocabulary.kind = "llama";
  read_spaces(vocabulary, tokenizer, where);
  put_scores(vocabulary, merges);
  if (flag_or(model, "byte_fallback", false)) return;
  vocabulary.notes.emplace_back(
      "The tokenizer has no tokens for bytes: llama.cpp fails on characters that it does not "
      "know.");
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
  TORCH_CHECK_NOT_IMPLEMENTED(type == "BPE" || type == "Unigram", where,
                              ": model.type: expected BPE or Unigram, got ", type,
                              ", which llama.cpp's language models do not have. ", kNearest);
  const bool unigram = type == "Unigram";
  GgufVocabulary vocabulary = empty_vocabulary(size);
  if (unigram)
    place_unigram_tokens(vocabulary, model, where);
  else
    place_bpe_tokens(vocabulary, model, where);
  place_added_tokens(vocabulary, tokenizer, where);
  mark_unknown(vocabulary, model);
  read_template(vocabulary, tokenizer);
  vocabulary.pre = "default";
  if (unigram) {
    vocabulary.kind = "t5";
    read_spaces(vocabulary, tokenizer, where);
    check_unigram(vocabulary, flag_or(model, "byte_fallback", false), where);
  } else {
    read_bpe(vocabulary, tokenizer, where);
  }
  return vocabulary;
}

}  // namespace laconic
