// Encodes one text. Prints one JSON object: bytes, tokens, seconds of each repeat.
//   tokenize_bench MODEL_DIRECTORY TEXT REPEATS
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "laconic/base/atomic_file.h"
#include "laconic/base/progress.h"
#include "laconic/load/tokenizer/tokenizer.h"

int main(int count, char** arguments) {
  if (count != 4) {
    std::fputs("usage: tokenize_bench MODEL_DIRECTORY TEXT REPEATS\n", stderr);
    return 2;
  }
  const auto tokenizer = laconic::Tokenizer::load(arguments[1]);
  const std::string text = laconic::read_text_file(arguments[2]);
  auto seconds = nlohmann::json::array();
  size_t tokens = 0;
  for (int repeat = 0; repeat < std::stoi(arguments[3]); ++repeat) {
    const laconic::Stopwatch watch;
    tokens = tokenizer->encode(text).size();
    seconds.push_back(watch.seconds());
  }
  const nlohmann::json result = {{"bytes", text.size()}, {"tokens", tokens}, {"seconds", seconds}};
  std::puts(result.dump().c_str());
  return 0;
}
