#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace laconic {

/// A file mapped for reading. Shared by the tensors that look into it.
class MappedFile {
 public:
  /// @throws c10::ValueError when `path` is absent, not a regular file, or cannot be read.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

  /// Tells the system that the pages of [offset, offset + length) are not needed now, so that they
  /// leave the resident set. Reading them again is allowed.
  void drop(size_t offset, size_t length) const;

 private:
  MappedFile() = default;
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace laconic
