#pragma once

#include <cstdint>

namespace laconic {

/// The largest resident set of this process so far, bytes (VmHWM); 0 where the system does not say.
uint64_t peak_resident_bytes();

/// Lets peak_resident_bytes count from now on; false where the system does not allow it.
bool reset_peak_resident_bytes();

/// The resident set now, bytes (VmRSS); 0 where the system does not say.
uint64_t resident_bytes();

/// Hands freed heap memory back to the system, so that the resident set is what is in use.
void trim_heap();

/// From now on large pieces of freed heap memory go back to the system when they are freed, not
/// when the heap sees fit: slower, for work under a limit.
void return_freed_memory_at_once();

/// While one lives, the heap keeps what is freed for what is allocated next: for loops whose rounds
/// take and free the same pieces (of up to 32 MiB), which the system would give and clear anew each
/// time. Does nothing after return_freed_memory_at_once. One at a time.
class FreedMemoryKept {
 public:
  FreedMemoryKept();
  ~FreedMemoryKept();
  FreedMemoryKept(const FreedMemoryKept&) = delete;
  FreedMemoryKept& operator=(const FreedMemoryKept&) = delete;
};

}  // namespace laconic
