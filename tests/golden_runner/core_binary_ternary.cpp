#include <ATen/ATen.h>

#include <limits>

#include "areas.h"
#include "laconic/quant/format/format.h"
#include "laconic/quant/quantizer/formula.h"
#include "options.h"

namespace laconic::golden {

// The recorded schemes take the sign of x itself, so the numbers are not divided by the scale.
Answer answer_core_binary_ternary(const Case& item) {
  TORCH_CHECK_VALUE(item.op == "binary_ternary_quant", "op: unknown value ", item.op,
                    "; known is binary_ternary_quant.");
  Options options(item.options);
  const auto scheme = options.word("scheme", {"binary", "clamped_binary", "ternary"});
  const bool learned = options.word("scale_kind", {"const", "parameter"}) == "parameter";
  const at::Tensor scale = at::full({}, options.number("scale_init", 1e-6, 1e6));
  const bool ternary = scheme == "ternary";
  const double threshold = ternary ? options.number("threshold", 0, 1) : 0;
  options.finish();

  Answer answer;
  const at::Tensor x = answer.leaves["x"] = item.input("x").requires_grad_();
  if (learned) answer.leaves["scale_param"] = scale.requires_grad_();
  const at::Tensor far = at::full({}, std::numeric_limits<float>::infinity());
  ElementRule rule{{far.neg(), far}};
  if (scheme == "clamped_binary") rule.bounds = {scale.neg(), scale};
  rule.gradient = scheme == "binary" ? Gradient(StraightThrough{}) : Clipped{};
  const Format format =
      ternary ? Format(TernaryFormat{threshold * scale.item<double>()}) : BinaryFormat{};
  check_format(format);
  answer.differentiated = real_values(elements_of_real(format, x, rule), scale, {});
  answer.outputs = {{"y", answer.differentiated},
                    {"scale", scale.reshape({1})},
                    {"zero_point", at::zeros({})},
                    {"bit_width", at::full({}, static_cast<double>(stored_bits(format)))}};
  return answer;
}

}  // namespace laconic::golden
