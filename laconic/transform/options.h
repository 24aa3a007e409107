#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace laconic::transform {

/// One of the words. @throws c10::ValueError with the nearest one; `where` as in
/// file/json/options.h.
std::string word_option(const std::string& where, const nlohmann::json& options, const char* key,
                        const std::vector<std::string>& words);

}  // namespace laconic::transform
