#include "laconic/base/directory.h"

#include <c10/util/Exception.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace laconic {
namespace {

namespace fs = std::filesystem;

void move_path(const fs::path& from, const fs::path& to) {
  std::error_code failure;
  fs::rename(from, to, failure);
  TORCH_CHECK(!failure, "[file] renaming ", from.string(), " to ", to.string(),
              " failed: ", failure.message(), ".");
}

// False where the system or the file system does not know how.
bool exchange(const fs::path& a, const fs::path& b) {
  return ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0;
}

bool same_directory(int descriptor, const fs::path& path) {
  struct stat opened {
  }, named{};
  return ::fstat(descriptor, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

}  // namespace

void copy_over(const fs::path& from, const fs::path& to) {
  std::error_code failure;
  if (fs::equivalent(from, to, failure)) return;
  failure.clear();
  fs::copy_file(from, to, fs::copy_options::overwrite_existing, failure);
  TORCH_CHECK(!failure, "[file] copying ", from.string(), " to ", to.string(),
              " failed: ", failure.message(), ".");
}

void replace_directory(const fs::path& working, const fs::path& directory) {
  std::error_code ignored;
  const fs::path old = working.string() + ".old";
  fs::remove_all(old, ignored);
  if (!fs::exists(directory)) return move_path(working, directory);
  if (exchange(working, directory)) {
    move_path(working, old);
  } else {
    move_path(directory, old);
    move_path(working, directory);
  }
  fs::remove_all(old, ignored);
}

bool is_within(const fs::path& inner, const fs::path& outer) {
  const fs::path a = without_slash(fs::weakly_canonical(inner));
  const fs::path b = without_slash(fs::weakly_canonical(outer));
  return std::mismatch(b.begin(), b.end(), a.begin(), a.end()).first == b.end();
}

DirectoryLock::DirectoryLock(const fs::path& directory)
    : descriptor_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  TORCH_CHECK(descriptor_ >= 0, "[file] ", directory.string(),
              ": cannot open: ", std::strerror(errno), ".");
  // Some network file systems have no locks: there the user must take care.
  const bool held = ::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  if (!held && same_directory(descriptor_, directory)) return;
  ::close(descriptor_);
  TORCH_CHECK_VALUE(false, "[file] ", directory.string(),
                    ": another process is at work in it. Wait for it, or choose another place.");
}

DirectoryLock::~DirectoryLock() { ::close(descriptor_); }

fs::path without_slash(const fs::path& directory) {
  return directory.has_filename() ? directory : directory.parent_path();
}

}  // namespace laconic
