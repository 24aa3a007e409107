#include "laconic/base/disk_memory.h"

#include <c10/util/Exception.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <utility>

namespace laconic {
namespace {

/// A file that no directory lists.
int open_nameless(const std::filesystem::path& directory) {
  const int descriptor = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor >= 0) return descriptor;
  // A file system without such files: one that loses its name at once.
  std::string path = (directory / "activations-XXXXXX").string();
  const int named = ::mkostemp(path.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(path.c_str());
  return named;
}

}  // namespace

struct DiskMemory::Regions {
  struct Region {
    size_t bytes = 0;
    int descriptor = -1;
  };
  std::map<const std::byte*, Region> by_begin;
  uint64_t bytes = 0, peak = 0;

  void release(std::byte* begin) {
    const auto found = by_begin.find(begin);
    ::munmap(begin, found->second.bytes);
    ::close(found->second.descriptor);
    bytes -= found->second.bytes;
    by_begin.erase(found);
  }
};

DiskMemory::DiskMemory(std::filesystem::path directory)
    : directory_(std::move(directory)), regions_(std::make_shared<Regions>()) {}

std::shared_ptr<std::byte> DiskMemory::take(size_t bytes) {
  const size_t size = std::max<size_t>(bytes, 1);
  const int descriptor = open_nameless(directory_);
  int error = descriptor < 0 ? errno : ::posix_fallocate(descriptor, 0, static_cast<off_t>(size));
  void* data = MAP_FAILED;
  if (error == 0) {
    data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (data == MAP_FAILED) error = errno;
  }
  if (error != 0 && descriptor >= 0) ::close(descriptor);
  TORCH_CHECK(error == 0, "[file] ", directory_.string(), ": cannot keep ", size,
              " bytes of working memory there: ", std::strerror(error),
              ". Free some space, allow more memory (--host-memory), or use fewer calibration "
              "windows.");
  auto* begin = static_cast<std::byte*>(data);
  regions_->by_begin[begin] = {size, descriptor};
  regions_->bytes += size;
  regions_->peak = std::max(regions_->peak, regions_->bytes);
  return {begin, [regions = regions_](std::byte* pointer) { regions->release(pointer); }};
}

void DiskMemory::drop(const void* data, size_t bytes) const {
  const auto* begin = static_cast<const std::byte*>(data);
  const auto after = regions_->by_begin.upper_bound(begin);
  if (after == regions_->by_begin.begin()) return;
  const auto& [start, region] = *std::prev(after);
  const auto offset = static_cast<size_t>(begin - start);
  if (offset >= region.bytes) return;
  // Whole pages around it: a file's pages lose nothing when they leave memory.
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t first = offset / page * page, last = std::min(offset + bytes, region.bytes);
  ::madvise(const_cast<std::byte*>(start) + first, last - first, MADV_DONTNEED);
  // A wish: changed pages that wait for long can only be written when memory is short already.
  ::sync_file_range(region.descriptor, static_cast<off_t>(first), static_cast<off_t>(last - first),
                    SYNC_FILE_RANGE_WRITE);
}

uint64_t DiskMemory::peak_bytes() const { return regions_->peak; }

}  // namespace laconic
