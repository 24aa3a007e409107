#include "laconic/transform/options.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "laconic/base/text.h"

namespace laconic::transform {

std::string word_option(const std::string& where, const nlohmann::json& options, const char* key,
                        const std::vector<std::string>& words) {
  const nlohmann::json& value = options.at(key);
  const std::string word = value.is_string() ? value.get<std::string>() : value.dump();
  TORCH_CHECK_VALUE(std::find(words.begin(), words.end(), word) != words.end(), "[", where, "] ",
                    key, ": unknown word \"", word, "\"", suggestion(word, words), ".");
  return word;
}

}  // namespace laconic::transform
