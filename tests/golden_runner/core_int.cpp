#include <ATen/ATen.h>

#include "areas.h"
#include "laconic/quant/quantizer/formula.h"
#include "parts.h"

namespace laconic::golden {
namespace {

struct Parts {
  QuantSpec spec;  ///< rounding and gradient of the formula
  CodeBounds bounds;
};

Parts read_parts(Options& options, const at::Tensor& bit_width) {
  Parts parts;
  const double bits = read_bits(options);
  const bool is_signed = options.flag("signed", true);
  const IntFormat format = make_format(bits, is_signed, options.flag("narrow_range", false));
  TORCH_CHECK_VALUE(bit_width.numel() == 1 && bit_width.isfinite().all().item<bool>() &&
                        std::abs(bit_width.item<double>() - bits) < 1e-5,
                    "input bit_width: expected ", bits, " as in the options.");
  parts.spec.format = format;
  parts.spec.rounding = read_rounding(options);
  parts.spec.gradient = read_clamp_gradient(options);
  parts.bounds = code_bounds(format, bit_width);
  // The shapes of the scales say it too.
  options.word("scale_granularity", {"tensor", "channel0", "channel1"}, "tensor");
  options.finish();
  return parts;
}

}  // namespace

Answer answer_core_int(const Case& item) {
  TORCH_CHECK_VALUE(item.op == "int_quant" || item.op == "decoupled_int_quant",
                    "op: unknown value ", item.op, "; known are int_quant, decoupled_int_quant.");
  const bool decoupled = item.op == "decoupled_int_quant";
  Answer answer;
  const auto leaf = [&](const std::string& name) {
    return answer.leaves[name] = item.input(name).requires_grad_();
  };
  const at::Tensor x = leaf("x"), scale = leaf("scale"), zero_point = leaf("zero_point");
  Options options(item.options);
  const auto [spec, bounds] = read_parts(options, leaf("bit_width"));
  const at::Tensor codes =
      decoupled ? elements_of(x, leaf("pre_scale"), leaf("pre_zero_point"), bounds, spec)
                : elements_of(x, scale, zero_point, bounds, spec);
  const at::Tensor y = real_values(codes, scale, zero_point);
  answer.outputs = {
      {"y", y}, {"codes", codes}, {"min_int", bounds.q_min}, {"max_int", bounds.q_max}};
  answer.differentiated = y;
  answer.steps = {{"y", scale}, {"codes", at::ones({})}};
  return answer;
}

}  // namespace laconic::golden
