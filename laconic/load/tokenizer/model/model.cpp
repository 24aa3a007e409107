#include "laconic/load/tokenizer/model/model.h"

#include <c10/util/Exception.h>

namespace laconic::tokenizer {
namespace {

constexpr Kind<std::unique_ptr<const Model>> kKinds[] = {
    {"BPE", make_bpe},
    {"Unigram", make_unigram},
    {"WordPiece", make_word_piece},
    {"WordLevel", make_word_level},
};

// Old files have no "type"; what is in them tells the kind.
const char* old_kind(const JsonField& field) {
  if (field.find("merges")) return "BPE";
  if (field.find("continuing_subword_prefix")) return "WordPiece";
  if (const auto entries = field.find("vocab"); entries && entries->is_array()) return "Unigram";
  return "WordLevel";
}

}  // namespace

void Model::fail_unknown(std::string_view word, std::string_view unknown_token) const {
  TORCH_CHECK_VALUE(false, "[tokenizer] \"", word.substr(0, 40),
                    "\": expected a known token, got none, and ",
                    unknown_token.empty() ? "the model has no unknown token"
                                          : "the unknown token is not in the vocabulary",
                    unknown_token.empty() ? "" : ": ", unknown_token,
                    ". Add one to tokenizer.json or leave this text out.");
}

std::unique_ptr<const Model> make_model(const JsonField& field) {
  if (field.find("type")) return make_part(field, "model", kKinds);
  const std::string_view name = old_kind(field);
  for (const auto& kind : kKinds) {
    if (name == kind.name) return kind.make(field);
  }
  field.fail("a model with a type");
}

}  // namespace laconic::tokenizer
