#include "laconic/base/directory.h"

#include <c10/util/Exception.h>

namespace laconic {
namespace {

namespace fs = std::filesystem;

void move_path(const fs::path& from, const fs::path& to) {
  std::error_code failure;
  fs::rename(from, to, failure);
  TORCH_CHECK(!failure, "[file] renaming ", from.string(), " to ", to.string(),
              " failed: ", failure.message(), ".");
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
  const fs::path old = directory.string() + ".old";
  const bool replace = fs::exists(directory);
  if (replace) {
    fs::remove_all(old, ignored);
    move_path(directory, old);
  }
  move_path(working, directory);
  if (replace) fs::remove_all(old, ignored);
}

fs::path without_slash(const fs::path& directory) {
  return directory.has_filename() ? directory : directory.parent_path();
}

}  // namespace laconic
