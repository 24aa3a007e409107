// Any bytes as a GGUF file: a clear error or a checked header, nothing else.
#include <c10/util/Exception.h>

#include "laconic/file/gguf/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto bytes = std::as_bytes(std::span(data, size));
    const auto header = laconic::parse_gguf_header(bytes, "fuzz");
    for (const laconic::GgufTensor& tensor : header.tensors) {
      // Every tensor must lie in the file.
      if (header.data_offset + tensor.offset + tensor.bytes > size) __builtin_trap();
    }
  } catch (const c10::Error&) {
  }
  return 0;
}
