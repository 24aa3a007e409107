#include "laconic/load/tokenizer/post_processor/post_processor.h"

#include <nlohmann/json.hpp>
#include <optional>

namespace laconic::tokenizer {
namespace {

int64_t read_id(const JsonField& field) { return field.integer(0, UINT32_MAX); }

/// Special tokens, or the text's own ids.
using TemplatePiece = std::optional<std::vector<int64_t>>;

TemplatePiece read_piece(const JsonField& field, const JsonField& tokens) {
  const std::string expected = "\"SpecialToken\" or \"Sequence\"";
  field.expect_single(expected);
  if (const auto sequence = field.find("Sequence")) {
    const JsonField id = sequence->at("id");
    if (id.string() != "A") id.fail("\"A\"", "A single text has no sequence B.");
    return std::nullopt;
  }
  const auto special = field.find("SpecialToken");
  if (!special) field.fail("an object with " + expected);
  std::vector<int64_t> ids;
  for (const JsonField& id : tokens.at(special->at("id").string()).at("ids").items())
    ids.push_back(read_id(id));
  return ids;
}

PostProcessor make_template(const JsonField& field) {
  std::vector<TemplatePiece> pieces;
  for (const JsonField& piece : field.at("single").items()) {
    pieces.push_back(read_piece(piece, field.at("special_tokens")));
  }
  return [pieces](std::vector<int64_t>& ids) {
    std::vector<int64_t> all;
    for (const TemplatePiece& piece : pieces) {
      const std::vector<int64_t>& part = piece ? *piece : ids;
      all.insert(all.end(), part.begin(), part.end());
    }
    ids = std::move(all);
  };
}

PostProcessor make_bert(const JsonField& field) {
  return [first = read_id(field.at("cls").item(1)),
          last = read_id(field.at("sep").item(1))](std::vector<int64_t>& ids) {
    ids.insert(ids.begin(), first);
    ids.push_back(last);
  };
}

PostProcessor make_nothing(const JsonField&) {
  return [](std::vector<int64_t>&) {};
}

PostProcessor make_sequence(const JsonField& field) {
  std::vector<PostProcessor> parts;
  for (const JsonField& part : field.at("processors").items())
    parts.push_back(make_post_processor(part));
  return [parts](std::vector<int64_t>& ids) {
    for (const PostProcessor& part : parts) part(ids);
  };
}

constexpr Kind<PostProcessor> kKinds[] = {
    {"TemplateProcessing", make_template}, {"BertProcessing", make_bert},
    {"RobertaProcessing", make_bert},      {"ByteLevel", make_nothing},
    {"Sequence", make_sequence},
};

}  // namespace

PostProcessor make_post_processor(const JsonField& field) {
  return make_part(field, "post-processor", kKinds);
}

}  // namespace laconic::tokenizer
