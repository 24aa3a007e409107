#pragma once

#include <filesystem>

namespace laconic {

/// Copies a file over another. @throws c10::Error naming both and the cause (a full disk, say).
void copy_over(const std::filesystem::path& from, const std::filesystem::path& to);

/// Renames `working` to `directory`; what stood there goes only when the new one is in place.
/// @throws c10::Error naming both and the cause.
void replace_directory(const std::filesystem::path& working,
                       const std::filesystem::path& directory);

/// "out/" and "out" name the same directory: without the slash.
std::filesystem::path without_slash(const std::filesystem::path& directory);

}  // namespace laconic
