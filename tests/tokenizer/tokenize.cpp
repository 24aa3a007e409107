// laconic_tokenize DIRECTORY_OR_JSON: reads texts from standard input, each as its length in bytes,
// a line break and the bytes. Writes a line for each: its ids, a tab, its ids with special tokens,
// a tab, the decoded ids in hexadecimal; or "error: ..." when one of these fails. For the
// comparison with other implementations.
#include <c10/util/Exception.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "laconic/load/tokenizer/tokenizer.h"

namespace {

std::shared_ptr<const laconic::Tokenizer> load(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) return laconic::Tokenizer::load(path);
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  return path.extension() == ".model" ? laconic::Tokenizer::from_sentencepiece(bytes, path.string())
                                      : laconic::Tokenizer::from_json(bytes, path.string());
}

void append(std::string& line, const std::vector<int64_t>& ids) {
  for (const int64_t id : ids) line += std::to_string(id) + " ";
}

std::string answer(const laconic::Tokenizer& tokenizer, const std::string& text) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string line;
  try {
    const auto ids = tokenizer.encode(text);
    append(line, ids);
    line += "\t";
    append(line, tokenizer.encode(text, /*add_special_tokens=*/true));
    line += "\t";
    for (const char c : tokenizer.decode(ids)) {
      line += kDigits[static_cast<uint8_t>(c) >> 4];
      line += kDigits[static_cast<uint8_t>(c) & 15];
    }
  } catch (const c10::Error& error) {
    line = std::string("error: ") + error.what_without_backtrace();
  }
  return line + "\n";
}

}  // namespace

int main(int argc, char** argv) {
  try {
    TORCH_CHECK_VALUE(argc == 2, "usage: laconic_tokenize DIRECTORY_OR_FILE < texts");
    const auto tokenizer = load(argv[1]);
    std::string length, text;
    while (std::getline(std::cin, length)) {
      text.resize(std::stoul(length));
      std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
      const std::string line = answer(*tokenizer, text);
      std::fwrite(line.data(), 1, line.size(), stdout);
    }
    return 0;
  } catch (const c10::Error& error) {
    std::fprintf(stderr, "%s\n", error.what_without_backtrace());
    return 2;
  }
}
