#include "laconic/quant/quantizer/deferred_checks.h"

#include <c10/util/Exception.h>

namespace laconic {
namespace {

thread_local kernel::LaterAnswer* deferred = nullptr;

/// Back to what it was, also when the body throws.
class Scope {
 public:
  explicit Scope(kernel::LaterAnswer* answer) : before_(deferred) { deferred = answer; }
  ~Scope() { deferred = before_; }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  kernel::LaterAnswer* before_;
};

}  // namespace

void with_deferred_checks(const std::function<void()>& body) {
  if (deferred != nullptr) return body();
  kernel::LaterAnswer answer;
  {
    const Scope scope(&answer);
    body();
  }
  TORCH_CHECK_VALUE(answer.all_finite(),
                    "[quantize] expected finite numbers, got NaN or infinity in a tensor that was "
                    "quantized on CUDA. Run the same on the CPU: there the error comes from the "
                    "quantizer that meets it.");
}

kernel::LaterAnswer* deferred_answer() { return deferred; }

}  // namespace laconic
