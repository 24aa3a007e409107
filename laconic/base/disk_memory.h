#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>

namespace laconic {

/// Memory that lies on disk: mapped files without a name, which the system removes with the last
/// pointer, or when the process ends in whatever way. What `drop` lets go of is no part of the
/// resident set until it is used again. For one thread at a time; copies share it.
class DiskMemory {
 public:
  /// @param directory  where the files are; must exist.
  explicit DiskMemory(std::filesystem::path directory);

  /// @returns  `bytes` zero bytes, kept while the pointer lives, also longer than this object.
  /// @throws c10::Error naming the directory when no such file can be made (a full disk, say): its
  /// room is reserved here, not when it is written to.
  std::shared_ptr<std::byte> take(size_t bytes);

  /// Lets the pages of [data, data + bytes) leave the resident set, and has changed ones written.
  /// What is not of this memory is left alone. The bytes stay what they are.
  void drop(const void* data, size_t bytes) const;

  uint64_t peak_bytes() const;  ///< the most that was taken at one time

 private:
  struct Regions;
  std::filesystem::path directory_;
  std::shared_ptr<Regions> regions_;
};

}  // namespace laconic
