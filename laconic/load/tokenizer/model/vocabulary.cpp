#include "laconic/load/tokenizer/model/vocabulary.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "laconic/load/tokenizer/text/utf8.h"

namespace laconic::tokenizer {

Vocabulary Vocabulary::read(const JsonField& field) {
  const nlohmann::json& entries = field.json();
  if (!entries.is_object()) field.fail("an object of token: id");
  // Holes are allowed, but an id must not make a table that is mostly holes.
  const int64_t largest = static_cast<int64_t>(entries.size()) * 16 + 1'000'000;
  Vocabulary vocabulary;
  vocabulary.ids_.reserve(entries.size());
  for (const auto& [token, value] : entries.items()) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > static_cast<uint64_t>(largest)) {
      field.at(token).fail("an id from 0 to " + std::to_string(largest));
    }
    const auto id = value.get<size_t>();
    const auto entry = vocabulary.ids_.emplace(token, static_cast<int64_t>(id)).first;
    if (vocabulary.tokens_.size() <= id) vocabulary.tokens_.resize(id + 1, nullptr);
    const std::string*& holder = vocabulary.tokens_[id];
    if (holder != nullptr) {
      field.at(token).fail("an id of its own", "\"" + *holder + "\" has the same one.");
    }
    holder = &entry->first;
    vocabulary.longest_ = std::max(vocabulary.longest_, token.size());
  }
  return vocabulary;
}

Vocabulary Vocabulary::from_list(std::vector<std::string> tokens) {
  Vocabulary vocabulary;
  vocabulary.list_ = std::move(tokens);
  for (const std::string& token : vocabulary.list_) {
    vocabulary.ids_.insert_or_assign(token, static_cast<int64_t>(vocabulary.tokens_.size()));
    vocabulary.tokens_.push_back(&token);
    vocabulary.longest_ = std::max(vocabulary.longest_, token.size());
  }
  return vocabulary;
}

const std::string* Vocabulary::token_of(int64_t id) const {
  return id >= 0 && id < size() ? tokens_[static_cast<size_t>(id)] : nullptr;
}

std::array<int64_t, 256> byte_fallback_ids(const Vocabulary& vocabulary) {
  std::array<int64_t, 256> ids{};
  for (size_t byte = 0; byte < ids.size(); ++byte) {
    ids[byte] = vocabulary.id_of(byte_token(static_cast<uint8_t>(byte)));
  }
  return ids;
}

}  // namespace laconic::tokenizer
