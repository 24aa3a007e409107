// Any bytes as tokenizer.json (when they start with a brace) or tokenizer.model: a clear error, or
// a tokenizer that encodes and decodes.
#include <c10/util/Exception.h>

#include <string_view>

#include "laconic/load/tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    const auto tokenizer = bytes.starts_with('{')
                               ? laconic::Tokenizer::from_json(bytes, "fuzz")
                               : laconic::Tokenizer::from_sentencepiece(bytes, "fuzz");
    const auto ids =
        tokenizer->encode("a ab<s> \xC3\xA9\xE2\x96\x81 12\n", /*add_special_tokens=*/true);
    tokenizer->decode(ids, /*skip_special_tokens=*/true);
  } catch (const c10::Error&) {
  }
  return 0;
}
