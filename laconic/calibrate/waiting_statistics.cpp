#include "laconic/calibrate/waiting_statistics.h"

#include <ATen/ops/from_blob.h>

#include <array>

namespace laconic {
namespace {

std::array<at::Tensor*, 3> matrices_of(LayerStatistics& statistics) {
  return {&statistics.hessian, &statistics.mismatch, &statistics.lost};
}

}  // namespace

at::Tensor WaitingStatistics::put_away(const at::Tensor& matrix) const {
  if (disk_ == nullptr) return place_ == KeptIn::kMemory ? matrix.cpu() : matrix;
  const auto memory = disk_->take(matrix.nbytes());
  const at::Tensor kept = at::from_blob(
      memory.get(), matrix.sizes(), [memory](void*) {}, matrix.options().device(at::kCPU));
  kept.copy_(matrix);
  disk_->drop(memory.get(), matrix.nbytes());
  return kept;
}

LayerStatistics WaitingStatistics::put_away(LayerStatistics statistics) const {
  for (at::Tensor* matrix : matrices_of(statistics))
    if (matrix->defined()) *matrix = put_away(*matrix);
  return statistics;
}

LayerStatistics WaitingStatistics::bring(LayerStatistics statistics) const {
  for (at::Tensor* matrix : matrices_of(statistics))
    if (matrix->defined()) *matrix = matrix->to(device_);
  return statistics;
}

void WaitingStatistics::drop(const LayerStatistics& statistics) const {
  if (disk_ == nullptr) return;
  for (const at::Tensor& matrix : {statistics.hessian, statistics.mismatch, statistics.lost})
    if (matrix.defined()) disk_->drop(matrix.const_data_ptr(), matrix.nbytes());
}

}  // namespace laconic
