#include "laconic/load/tokenizer/tokenizer.h"

#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>

#include "laconic/base/mapped_file.h"
#include "laconic/file/json/json.h"
#include "laconic/load/tokenizer/pipeline.h"

namespace laconic {
namespace {

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
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
  return from_sentencepiece(text_of(*MappedFile::open(model)), model.string());
}

std::shared_ptr<const Tokenizer> Tokenizer::from_json(std::string_view json,
                                                      const std::string& where) {
  const nlohmann::json document = parse_json(json, "[tokenizer] " + where);
  return std::make_shared<tokenizer::Pipeline>(tokenizer::JsonField(document, where));
}

std::shared_ptr<const Tokenizer> Tokenizer::from_sentencepiece(std::string_view,
                                                               const std::string& where) {
  TORCH_CHECK_NOT_IMPLEMENTED(false, "[tokenizer] ", where, ": tokenizer.model is not read yet.");
}

}  // namespace laconic
