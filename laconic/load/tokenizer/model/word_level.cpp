#include "laconic/load/tokenizer/model/model.h"

namespace laconic::tokenizer {
namespace {

class WordLevel final : public Model {
 public:
  explicit WordLevel(const JsonField& field)
      : Model(Vocabulary::read(field.at("vocab"))), unknown_(field.at("unk_token").string()) {}

  void encode(std::string_view word, std::vector<int64_t>& ids) const override {
    int64_t id = vocabulary_.id_of(word);
    if (id == Vocabulary::kNone) id = vocabulary_.id_of(unknown_);
    if (id == Vocabulary::kNone) fail_unknown(word, unknown_);
    ids.push_back(id);
  }

  bool worth_caching() const override { return false; }

 private:
  std::string unknown_;
};

}  // namespace

std::unique_ptr<const Model> make_word_level(const JsonField& field) {
  return std::make_unique<WordLevel>(field);
}

}  // namespace laconic::tokenizer
