#include "laconic/kernel/fresh_memory.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <vector>
#ifdef __linux__
#include <sys/mman.h>
#endif

namespace laconic::kernel {
namespace {

constexpr size_t kHugePage = size_t{1} << 21;  // bytes
constexpr size_t kLarge = 4 * kHugePage;       // below it the allocator keeps memory itself
constexpr size_t kMostKept = size_t{1} << 27;

struct Block {
  void* begin;
  size_t bytes;
};

/// Blocks that were freed last, to be given again to results of the same size: their pages are
/// there.
class KeptBlocks {
 public:
  static KeptBlocks& all() {
    static auto* kept = new KeptBlocks;  // never destroyed: tensors may be freed at the very end
    return *kept;
  }

  /// nullptr: none of this size.
  void* take(size_t bytes) {
    const std::lock_guard lock(mutex_);
    for (size_t i = blocks_.size(); i-- > 0;) {
      if (blocks_[i].bytes != bytes) continue;
      void* found = blocks_[i].begin;
      blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(i));
      total_ -= bytes;
      return found;
    }
    return nullptr;
  }

  void give(const Block& block) {
    const std::lock_guard lock(mutex_);
    blocks_.push_back(block);
    total_ += block.bytes;
    while (total_ > kMostKept) {
      std::free(blocks_.front().begin);
      total_ -= blocks_.front().bytes;
      blocks_.erase(blocks_.begin());
    }
  }

 private:
  std::mutex mutex_;
  std::vector<Block> blocks_;  // the one freed last at the end
  size_t total_ = 0;
};

void* new_block(size_t bytes) {
  void* begin = std::aligned_alloc(kHugePage, bytes);
  TORCH_CHECK(begin != nullptr, "[quantize] memory for a result: expected ", bytes,
              " bytes, got none. Quantize a smaller tensor, or free memory.");
#ifdef MADV_HUGEPAGE
  madvise(begin, bytes, MADV_HUGEPAGE);  // a wish: where it is refused, pages are small
#endif
  return begin;
}

}  // namespace

at::Tensor fresh_like(const at::Tensor& x) {
  const auto options = x.options().requires_grad(false);
  if (!x.is_cpu() || x.nbytes() < kLarge) return at::empty(x.sizes(), options);
  const size_t bytes = (x.nbytes() + kHugePage - 1) / kHugePage * kHugePage;
  void* begin = KeptBlocks::all().take(bytes);
  if (begin == nullptr) begin = new_block(bytes);
  return at::from_blob(
      begin, x.sizes(),
      [bytes](void* freed) {
        KeptBlocks::all().give({freed, bytes});
      },
      options);
}

}  // namespace laconic::kernel
