#include "laconic/calibrate/check_windows.h"

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

namespace laconic {

void check_windows(const LanguageModel& model, const at::Tensor& windows) {
  TORCH_CHECK_VALUE(windows.defined() && windows.dim() == 2 && windows.size(0) > 0 &&
                        windows.scalar_type() == at::kLong,
                    "[engine] the plan has layers that need statistics: expected calibration "
                    "windows [n, length] of "
                    "int64 ids, got ",
                    windows.defined() ? windows.sizes() : at::IntArrayRef{}, ".");
  TORCH_CHECK_VALUE(model.maximum_length <= 0 || windows.size(1) <= model.maximum_length,
                    "[engine] calibration windows of ", windows.size(1),
                    " tokens: the model was made for at most ", model.maximum_length,
                    ". Set calibration.length.");
  const int64_t least = windows.min().item<int64_t>(), largest = windows.max().item<int64_t>();
  TORCH_CHECK_VALUE(least >= 0 && largest < model.vocabulary_size,
                    "[engine] calibration windows: expected ids from 0 to ",
                    model.vocabulary_size - 1, ", got ", least < 0 ? least : largest, ".");
}

}  // namespace laconic
