#pragma once

#include <filesystem>

namespace laconic {

/// Copies a file over another. @throws c10::Error naming both and the cause (a full disk, say).
void copy_over(const std::filesystem::path& from, const std::filesystem::path& to);

/// Renames `working` to `directory`; what stood there goes only when the new one is in place. The
/// two change places in one step where the file system can do that, so that `directory` is always
/// whole.
/// @throws c10::Error naming both and the cause.
void replace_directory(const std::filesystem::path& working,
                       const std::filesystem::path& directory);

/// "out/" and "out" name the same directory: without the slash.
std::filesystem::path without_slash(const std::filesystem::path& directory);

/// True when `inner` is `outer` or lies in it; either may not exist yet.
bool is_within(const std::filesystem::path& inner, const std::filesystem::path& outer);

/// One process works in a directory at a time. Lasts until the object or the process ends, also
/// when the directory is renamed meanwhile.
class DirectoryLock {
 public:
  /// @param directory  must exist.
  /// @throws c10::ValueError when another process holds it.
  explicit DirectoryLock(const std::filesystem::path& directory);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int descriptor_;
};

}  // namespace laconic
