#include "laconic/base/memory.h"

#include <malloc.h>

#include <fstream>
#include <string>

namespace laconic {
namespace {

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
  ::mallopt(M_MMAP_THRESHOLD, kLarge);
  ::mallopt(M_TRIM_THRESHOLD, kLarge);
}

}  // namespace laconic
