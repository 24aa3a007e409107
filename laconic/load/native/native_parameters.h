#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "laconic/load/huggingface/checkpoint_parameters.h"
#include "laconic/load/huggingface/huggingface.h"
#include "laconic/load/native/native.h"

namespace laconic {

/// Parameters of a native directory as float32. The weight of a quantized layer is named P.weight,
/// also when the checkpoint it came from tied it to another, and is made from its codes when asked
/// for, in the checkpoint's orientation; of an embedding the rows that are looked up.
class NativeParameters : public graph::Parameters {
 public:
  NativeParameters(std::shared_ptr<const NativeDirectory> native, bool resident);
  at::Tensor get(const std::string& name) const override;
  at::Tensor rows(const std::string& name, const at::Tensor& indices) const override;
  bool has(const std::string& name) const override {
    return layers_.contains(name) || rest_.has(name);
  }
  void release(const std::string& name) const override;

 private:
  at::Tensor dequantized(const NativeLayer& layer) const;
  bool is_kept(const std::string& name) const;

  std::shared_ptr<const NativeDirectory> native_;
  CheckpointParameters rest_;
  bool resident_;
  std::map<std::string, const NativeLayer*> layers_;  ///< by name of the weight
  mutable std::mutex mutex_;
  mutable std::map<std::string, at::Tensor> kept_;
};

/// What the checkpoint would hold had nothing been quantized.
StoredTensors stored_tensors(const NativeDirectory& native);

}  // namespace laconic
