#include "laconic/kernel/fresh_memory.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cstdint>
#ifdef __linux__
#include <sys/mman.h>
#endif

namespace laconic::kernel {
namespace {

constexpr uintptr_t kHugePage = uintptr_t{1} << 21;  // bytes
constexpr uintptr_t kLarge = 4 * kHugePage;          // below it the allocator keeps memory itself

void ask_for_huge_pages(const at::Tensor& room) {
#ifdef MADV_HUGEPAGE
  const auto begin = reinterpret_cast<uintptr_t>(room.mutable_data_ptr());
  const uintptr_t first = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t last = (begin + room.nbytes()) / kHugePage * kHugePage;
  // A wish: where it is refused, pages are small.
  if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#else
  (void)room;
#endif
}

}  // namespace

at::Tensor fresh_like(const at::Tensor& x) {
  at::Tensor room = at::empty(x.sizes(), x.options().requires_grad(false));
  if (room.is_cpu() && room.nbytes() >= kLarge) ask_for_huge_pages(room);
  return room;
}

}  // namespace laconic::kernel
