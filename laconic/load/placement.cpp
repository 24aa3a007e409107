#include "laconic/load/placement.h"

#include <ATen/Context.h>
#include <c10/util/Exception.h>

#include <utility>

#include "laconic/graph/placed_parameters.h"

namespace laconic {
namespace {

bool is_device_word(const std::string& text) {
  if (text == "cpu" || text == "cuda") return true;
  const std::string prefix = "cuda:";
  return text.size() > prefix.size() && text.size() < prefix.size() + 4 &&
         text.starts_with(prefix) &&
         text.find_first_not_of("0123456789", prefix.size()) == std::string::npos;
}

}  // namespace

at::Device parse_device(const std::string& text) {
  TORCH_CHECK_VALUE(is_device_word(text), "--device: expected cpu, cuda or cuda:NUMBER, got \"",
                    text, "\".");
  if (text == "cpu") return at::kCPU;
  TORCH_CHECK_NOT_IMPLEMENTED(
      at::globalContext().hasCUDA(), "--device ", text,
      ": this program was built without CUDA, or the machine has no such device. Build with "
      "-DLACONIC_CUDA=ON (docs/building.md), or use --device cpu.");
  const at::Device device(text == "cuda" ? "cuda:0" : text);
  const auto count = at::globalContext().getAcceleratorHooksInterface(at::kCUDA).deviceCount();
  TORCH_CHECK_VALUE(device.index() < count, "--device ", text, ": expected a number below ",
                    static_cast<int>(count), ", the devices of this machine.");
  return device;
}

std::shared_ptr<const graph::Parameters> placed(std::shared_ptr<const graph::Parameters> parameters,
                                                at::Device device, bool resident) {
  if (device.is_cpu()) return parameters;
  at::globalContext().setAllowTF32CuBLAS(true);
  return std::make_shared<graph::PlacedParameters>(std::move(parameters), device, resident);
}

void place(LanguageModel& model, at::Device device, bool resident) {
  model.parameters = placed(std::move(model.parameters), device, resident);
}

}  // namespace laconic
