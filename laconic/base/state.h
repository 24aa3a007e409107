#pragma once

namespace at {
class Tensor;
}

namespace laconic {

/// One tensor that a part keeps beside its spec: a Module registers it under this name.
struct StateTensor {
  const char* name;  ///< without dots; never changes: it is the checkpoint format
  at::Tensor* tensor;
  bool is_trainable;  ///< a parameter; else a buffer
};

}  // namespace laconic
