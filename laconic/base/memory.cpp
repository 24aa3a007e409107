#include "laconic/base/memory.h"

#include <malloc.h>

#include <atomic>
#include <fstream>
#include <limits>
#include <string>

namespace laconic {
namespace {

std::atomic<bool> returns_at_once = false;

uint64_t status_kib(const std::string& key) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with(key + ":")) return std::stoull(line.substr(key.size() + 1));
  }
  return 0;
}

}  // namespace

uint64_t peak_resident_bytes() { return status_kib("VmHWM") * 1024; }
uint64_t resident_bytes() { return status_kib("VmRSS") * 1024; }
bool reset_peak_resident_bytes() {
  std::ofstream control("/proc/self/clear_refs");
  control << "5";
  return control.flush().good();
}

void trim_heap() { ::malloc_trim(0); }

void return_freed_memory_at_once() {
  constexpr int kLarge = 1 << 18;  // bytes
  returns_at_once = true;
  ::mallopt(M_MMAP_THRESHOLD, kLarge);
  ::mallopt(M_TRIM_THRESHOLD, kLarge);
}

FreedMemoryKept::FreedMemoryKept() {
  if (returns_at_once) return;
  ::mallopt(M_MMAP_THRESHOLD, 1 << 25);  // the most that glibc allows
  ::mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
}

FreedMemoryKept::~FreedMemoryKept() {
  if (returns_at_once) return;
  // Where glibc's own thresholds end up that follow the largest piece freed.
  ::mallopt(M_TRIM_THRESHOLD, 1 << 26);
  trim_heap();
}

}  // namespace laconic
