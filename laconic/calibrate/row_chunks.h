#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace laconic {

/// Rows that come in any number, handed on so many at a time: the sums of them then do not depend
/// on how they came.
class RowChunks {
 public:
  using Take = std::function<void(const std::vector<at::Tensor>&)>;
  /// @param rows  matrices with the same number of rows, which stay together.
  void add(const std::vector<at::Tensor>& rows, const Take& take);
  void finish(const Take& take);  ///< hands the rest on

 private:
  std::vector<at::Tensor> waiting_;  ///< [kRows, columns] each
  int64_t count_ = 0;                ///< rows of them that are there
};

}  // namespace laconic
