#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace laconic {

/// Parses JSON from outside: refuses malformed text, text that is not UTF-8, a key twice in one
/// object (where nlohmann would silently keep the last), and nesting deeper than `max_depth`.
/// @param where  starts every message: "[safetensors] model.safetensors".
/// @throws c10::ValueError naming the byte or the key.
nlohmann::json parse_json(std::string_view text, const std::string& where, int max_depth = 64);

/// parse_json of a whole file; messages start with "[json] PATH".
nlohmann::json read_json_file(const std::filesystem::path& path);

/// Writes `value` with an indentation of two, whole or not at all.
/// @throws c10::ValueError when a string of it is not UTF-8.
void write_json_file(const std::filesystem::path& path, const nlohmann::json& value);

}  // namespace laconic
