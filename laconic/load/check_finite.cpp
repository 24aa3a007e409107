#include "laconic/load/check_finite.h"

#include <c10/util/Exception.h>

namespace laconic {

void check_finite(const std::string& where, const std::string& name, const at::Tensor& tensor) {
  if (!tensor.is_floating_point() || tensor.numel() == 0) return;
  // One pass, no copy: a sum is finite unless an element is not, or the sum overflows.
  if (tensor.sum(at::kDouble).isfinite().item().toBool()) return;
  const auto bad = tensor.isfinite().logical_not();
  const auto count = bad.sum().item().toLong();
  if (count == 0) return;
  const auto first = bad.nonzero().select(0, 0);
  std::string place;
  for (int64_t i = 0; i < first.numel(); ++i)
    place += (i > 0 ? ", " : "") + std::to_string(first.select(0, i).item().toLong());
  TORCH_CHECK_VALUE(
      false, "[", where, "] tensor \"", name, "\": ", count, " of ", tensor.numel(),
      " elements are NaN or infinite, the first at [", place,
      "]: expected finite numbers. The checkpoint is damaged or its training diverged.");
}

}  // namespace laconic
