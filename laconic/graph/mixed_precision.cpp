#include "laconic/graph/mixed_precision.h"

#include <ATen/autocast_mode.h>
#include <ATen/cpu/Utils.h>

namespace laconic::graph {

MixedPrecision::MixedPrecision(bool enabled)
    : enabled_(enabled && !at::autocast::is_autocast_enabled(at::kCPU)) {
  if (!enabled_) return;
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::autocast::increment_nesting();
}

MixedPrecision::~MixedPrecision() {
  if (!enabled_) return;
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(at::kCPU, false);
}

bool MixedPrecision::is_fast() {
  static const bool fast = [] {
    const auto known = at::cpu::get_cpu_capabilities();
    const auto found = known.find("amx_bf16");
    return found != known.end() && found->second.toBool();
  }();
  return fast;
}

}  // namespace laconic::graph
