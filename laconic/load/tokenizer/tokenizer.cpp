#include "laconic/load/tokenizer/tokenizer.h"

#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>

#include "laconic/base/mapped_file.h"
#include "laconic/file/json/json.h"
#include "laconic/load/tokenizer/pipeline.h"
#include "laconic/load/tokenizer/sentencepiece/sentencepiece.h"

namespace laconic {
namespace {

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

// tokenizer_config.json may say which ends a text gets; without it the sentence start alone, as
// Llama has it.
tokenizer::SentenceEnds read_ends(const std::filesystem::path& directory) {
  tokenizer::SentenceEnds ends;
  const auto path = directory / "tokenizer_config.json";
  if (!std::filesystem::exists(path)) return ends;
  const nlohmann::json document = read_json_file(path);
  const std::string where = path.string();
  const tokenizer::JsonField config(document, where);
  ends.bos = config.boolean_or("add_bos_token", ends.bos);
  ends.eos = config.boolean_or("add_eos_token", ends.eos);
  return ends;
}

}  // namespace

std::shared_ptr<const Tokenizer> Tokenizer::load(const std::filesystem::path& directory) {
  const auto json = directory / "tokenizer.json";
  if (std::filesystem::exists(json))
    return from_json(text_of(*MappedFile::open(json)), json.string());
  const auto model = directory / "tokenizer.model";
  TORCH_CHECK_VALUE(
      std::filesystem::exists(model), "[tokenizer] ", directory.string(),
      ": expected tokenizer.json or tokenizer.model, got neither. Copy the tokenizer of the model "
      "there.");
  return tokenizer::make_sentencepiece(text_of(*MappedFile::open(model)), model.string(),
                                       read_ends(directory));
}

std::shared_ptr<const Tokenizer> Tokenizer::from_json(std::string_view json,
                                                      const std::string& where) {
  const nlohmann::json document = parse_json(json, "[tokenizer] " + where);
  return std::make_shared<tokenizer::Pipeline>(tokenizer::JsonField(document, where));
}

std::shared_ptr<const Tokenizer> Tokenizer::from_sentencepiece(std::string_view bytes,
                                                               const std::string& where) {
  return tokenizer::make_sentencepiece(bytes, where);
}

}  // namespace laconic
