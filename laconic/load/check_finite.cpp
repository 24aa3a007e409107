#include "laconic/load/check_finite.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

namespace laconic {
namespace {

constexpr int64_t kBand = int64_t{1} << 20;  // elements

/// A sum is finite unless an element is not, or the sum overflows.
bool has_finite_sum(const at::Tensor& band) {
  return std::isfinite(band.to(at::kFloat).sum().item<float>()) ||
         band.isfinite().all().item<bool>();
}

}  // namespace

bool is_finite(const at::Tensor& tensor) {
  if (!tensor.is_floating_point() || tensor.numel() == 0) return true;
  if (!tensor.is_contiguous()) return has_finite_sum(tensor);
  const at::Tensor flat = tensor.view(-1);
  for (int64_t begin = 0; begin < flat.numel(); begin += kBand)
    if (!has_finite_sum(flat.narrow(0, begin, std::min(kBand, flat.numel() - begin)))) return false;
  return true;
}

void check_finite(const std::string& where, const std::string& name, const at::Tensor& tensor) {
  if (is_finite(tensor)) return;
  const auto bad = tensor.isfinite().logical_not();
  const auto count = bad.sum().item().toLong();
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
