#pragma once

#include <cstdint>
#include <memory>

#include "laconic/base/disk_memory.h"
#include "laconic/calibrate/engine.h"

namespace laconic {

/// Keeps the matrices of statistics apart while they wait for those of the other layers that are
/// solved together with theirs: on disk, or in main memory while the work is on another device.
class WaitingStatistics {
 public:
  WaitingStatistics() = default;  ///< leaves all where it is
  /// @param device  where the work is.
  /// @param disk    of KeptIn::kDisk.
  WaitingStatistics(at::Device device, KeptIn place, std::shared_ptr<DiskMemory> disk)
      : device_(device), place_(place), disk_(std::move(disk)) {}

  LayerStatistics put_away(LayerStatistics statistics) const;
  /// The same to work with. What lies on disk comes into memory as it is read.
  LayerStatistics bring(LayerStatistics statistics) const;
  /// Lets what lies on disk leave memory until it is read again.
  void drop(const LayerStatistics& statistics) const;
  /// The most that was on disk at one time.
  uint64_t peak_disk_bytes() const { return disk_ == nullptr ? 0 : disk_->peak_bytes(); }

 private:
  at::Tensor put_away(const at::Tensor& matrix) const;

  at::Device device_ = at::kCPU;
  KeptIn place_ = KeptIn::kMemory;
  std::shared_ptr<DiskMemory> disk_;
};

}  // namespace laconic
