#include <ATen/ATen.h>

#include "areas.h"
#include "laconic/kernel/straight_through.h"
#include "laconic/quant/scale/scale.h"
#include "parts.h"

namespace laconic::golden {
namespace {

// The functions that are not a rounding part: signs, whose gradient passes straight through, and
// the magnitude.
at::Tensor sign_function(const std::string& word, const at::Tensor& x) {
  const at::Tensor plain = x.detach();
  if (word == "binary_sign")
    return straight_through(x, at::where(plain.ge(0), at::ones_like(plain), -1));
  if (word == "ternary_sign") return straight_through(x, plain.sign());
  return magnitude(x);
}

at::Tensor ste_function(Options& options, const at::Tensor& x) {
  const auto word =
      options.word("function", {"nearest_even", "ceil", "floor", "toward_zero", "dpu",
                                "binary_sign", "ternary_sign", "abs_binary_sign_grad"});
  if (word.find("sign") != std::string::npos) return sign_function(word, x);
  return apply_rounding(rounding_of(word), x);
}

}  // namespace

Answer answer_rounding(const Case& item) {
  Options options(item.options);
  Answer answer;
  const at::Tensor x = answer.leaves["x"] = item.input("x").requires_grad_();
  if (item.op == "ste_function") {
    answer.differentiated = ste_function(options, x);
  } else if (item.op == "tensor_clamp") {
    const Gradient gradient = options.word("grad_mode", {"pass_through", "masked"}) == "masked"
                                  ? Gradient(Clipped{})
                                  : StraightThrough{};
    const at::Tensor low = answer.leaves["min"] = item.input("min").requires_grad_();
    const at::Tensor high = answer.leaves["max"] = item.input("max").requires_grad_();
    answer.differentiated = apply_clamp(gradient, x, low, high);
  } else {
    TORCH_CHECK_VALUE(item.op == "signed_clamp_min", "op: unknown value ", item.op, ".");
    answer.differentiated = at_least(x, options.number("min_magnitude", 0, 1e6));
  }
  options.finish();
  answer.outputs = {{"y", answer.differentiated}};
  return answer;
}

}  // namespace laconic::golden
