#include "laconic/recipe/float_model.h"

#include <c10/util/Exception.h>

#include "laconic/base/directory.h"
#include "laconic/load/native/native.h"

namespace laconic {

void check_float_model(const char* command, const std::filesystem::path& model,
                       const std::filesystem::path& out) {
  TORCH_CHECK_VALUE(!NativeDirectory::is_native(model), "[", command, "] ", model.string(),
                    ": already quantized. Give the float model that it was made from.");
  TORCH_CHECK_VALUE(std::filesystem::is_directory(model), "[", command, "] ", model.string(),
                    ": expected the directory of a model, got ",
                    std::filesystem::exists(model) ? "a file." : "no such path.");
  TORCH_CHECK_VALUE(!is_within(out, model) && !is_within(model, out), "[", command, "] --out ",
                    out.string(), ": expected a place outside of the model's directory ",
                    model.string(), ". Choose another directory.");
}

}  // namespace laconic
