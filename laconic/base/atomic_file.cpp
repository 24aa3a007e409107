#include "laconic/base/atomic_file.h"

#include <c10/util/Exception.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "laconic/base/interrupt.h"
#include "laconic/base/mapped_file.h"

namespace laconic {

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)), partial_(path_.string() + ".partial") {
  descriptor_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  const int error = errno;
  const bool no_space = error == ENOSPC || error == EDQUOT;
  TORCH_CHECK(descriptor_ >= 0 || !no_space, "[file] ", path_.string(),
              ": cannot make it: ", std::strerror(error),
              ". Free some space, or choose another place.");
  TORCH_CHECK_VALUE(descriptor_ >= 0, "[file] ", path_.string(),
                    ": cannot open for writing: ", std::strerror(error),
                    ". Choose a directory that exists and that you may write to.");
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  std::error_code ignored;
  std::filesystem::remove(partial_, ignored);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  check_interrupt();
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    TORCH_CHECK(written > 0, "[file] ", path_.string(), ": writing failed after ", size_,
                " bytes: ", std::strerror(errno),
                ". It was removed; free some space or choose another place.");
    bytes = bytes.subspan(static_cast<size_t>(written));
    size_ += static_cast<uint64_t>(written);
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text.data(), text.size())));
}

void AtomicFile::commit() {
  const bool flushed = ::fsync(descriptor_) == 0 || errno == EINVAL;
  const int error = errno;
  TORCH_CHECK(flushed, "[file] ", path_.string(),
              ": flushing to disk failed: ", std::strerror(error), ".");
  ::close(descriptor_);
  descriptor_ = -1;
  std::error_code failure;
  std::filesystem::rename(partial_, path_, failure);
  TORCH_CHECK(!failure, "[file] ", path_.string(), ": renaming failed: ", failure.message(), ".");
}

void write_text_file(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

std::string read_text_file(const std::filesystem::path& path, uint64_t limit) {
  const auto file = MappedFile::open(path);
  const auto bytes = file->bytes();
  TORCH_CHECK_VALUE(bytes.size() <= limit, "[file] ", path.string(), ": expected at most ", limit,
                    " bytes, got ", bytes.size(), ".");
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace laconic
