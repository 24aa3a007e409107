#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "laconic/graph/parameters.h"

namespace laconic::graph {

/// Parameters of a source, moved to a device when they are asked for.
class PlacedParameters : public Parameters {
 public:
  /// @param resident  keeps on the device what was asked for once (evaluation).
  PlacedParameters(std::shared_ptr<const Parameters> below, at::Device device, bool resident)
      : below_(std::move(below)), device_(device), resident_(resident) {}
  at::Tensor get(const std::string& name) const override;
  /// Looks them up where the source is, and moves these rows alone.
  at::Tensor rows(const std::string& name, const at::Tensor& indices) const override;
  bool has(const std::string& name) const override { return below_->has(name); }
  Description describe(const std::string& name) const override { return below_->describe(name); }
  void release(const std::string& name) const override { below_->release(name); }

 private:
  std::shared_ptr<const Parameters> below_;
  at::Device device_;
  bool resident_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, at::Tensor> kept_;
};

}  // namespace laconic::graph
