#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace laconic {

/// Writes `path` so that it exists whole or not at all: bytes go to `path` + ".partial", and
/// `commit` flushes them to disk and renames. Without `commit` the destructor removes the rest.
class AtomicFile {
 public:
  /// @throws c10::ValueError when the file beside `path` cannot be made: no such directory, no
  /// right to write.
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends. @throws c10::Error naming the file and the cause (a full disk, say); Interrupted
  /// after Ctrl-C.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Bytes written so far.
  uint64_t size() const { return size_; }
  void commit();

 private:
  std::filesystem::path path_, partial_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

/// Writes `text` to `path`, whole or not at all.
void write_text_file(const std::filesystem::path& path, std::string_view text);

/// @throws c10::ValueError when absent, unreadable, or larger than `limit` bytes.
std::string read_text_file(const std::filesystem::path& path, uint64_t limit = uint64_t{1} << 32);

}  // namespace laconic
