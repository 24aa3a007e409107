#include "laconic/evaluate/text.h"

#include <c10/util/Exception.h>

#include "laconic/base/atomic_file.h"
#include "laconic/base/text.h"

namespace laconic {

std::vector<int64_t> read_tokens(const LanguageModel& model, const std::filesystem::path& path) {
  const std::string text = read_text_file(path);
  TORCH_CHECK_VALUE(!text.empty(), "[text] ", path.string(), ": empty: expected some text.");
  size_t bad_offset = 0;
  TORCH_CHECK_VALUE(is_utf8(text, &bad_offset), "[text] ", path.string(), ": byte ", bad_offset,
                    " is not UTF-8: expected a text in that encoding. Convert the file.");
  TORCH_CHECK_VALUE(model.tokenizer != nullptr, "[text] ", model.directory.string(),
                    ": no tokenizer: expected tokenizer.json or tokenizer.model there to read ",
                    path.string(), ".");
  return model.tokenizer->encode(text);
}

}  // namespace laconic
