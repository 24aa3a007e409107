#include "laconic/graph/mixed_precision.h"

#include <ATen/autocast_mode.h>
#include <ATen/cpu/Utils.h>
#include <ATen/detail/CUDAHooksInterface.h>

namespace laconic::graph {
namespace {

bool has_processor_units() {
  const auto known = at::cpu::get_cpu_capabilities();
  const auto has = [&](const char* name) {
    const auto found = known.find(name);
    return found != known.end() && found->second.toBool();
  };
  return has("amx_bf16") || has("avx512_bf16");
}

}  // namespace

MixedPrecision::MixedPrecision(bool enabled, c10::DeviceType device)
    : enabled_(enabled && !at::autocast::is_autocast_enabled(device)),
      device_(device),
      dtype_before_(at::autocast::get_autocast_dtype(device)) {
  if (!enabled_) return;
  at::autocast::set_autocast_dtype(device_, at::kBFloat16);
  at::autocast::set_autocast_enabled(device_, true);
  at::autocast::increment_nesting();
}

MixedPrecision::~MixedPrecision() {
  if (!enabled_) return;
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, false);
  at::autocast::set_autocast_dtype(device_, dtype_before_);
}

bool MixedPrecision::is_fast(c10::DeviceType device) {
  static const bool processor = has_processor_units();
  if (device == c10::DeviceType::CPU) return processor;
  // LibTorch's one question about it without a header of CUDA: capability 8.0 or more.
  return device == c10::DeviceType::CUDA &&
         at::detail::getCUDAHooks().supportsBFloat16ConvolutionWithCuDNNv8();
}

}  // namespace laconic::graph
