#pragma once

#include <functional>

#include "laconic/kernel/fused/later_answer.h"
#include "laconic/quant/quantizer/quant_spec.h"

namespace laconic {

/// Runs `body`, in which quantizers that refuse NaN and infinity (`non_finite: refuse`) do not wait
/// for a CUDA device to say whether there are any: a step of training or the forward pass of a
/// model waits once, at its end. On the CPU nothing changes. Of this thread alone; calls may nest,
/// then the outermost waits.
/// @throws c10::ValueError after `body` where an element was not finite; what was computed then
///         means nothing.
void with_deferred_checks(const std::function<void()>& body);

/// Where a check that may wait goes now; nullptr: no check may.
kernel::LaterAnswer* deferred_answer();

/// The answers that one quantizer needs: one wait for several calls, or none now.
class FusedAnswer {
 public:
  explicit FusedAnswer(const QuantSpec& spec)
      : deferred_(spec.non_finite == NonFinite::kRefuse ? deferred_answer() : nullptr) {}
  kernel::LaterAnswer* later() { return deferred_ != nullptr ? deferred_ : &own_; }
  /// True where that is to be seen later.
  bool all_finite() { return deferred_ != nullptr || own_.all_finite(); }

 private:
  kernel::LaterAnswer* deferred_;
  kernel::LaterAnswer own_;
};

}  // namespace laconic
