#include "laconic/quant/zero_point/zero_point.h"

#include <ATen/ATen.h>

#include "areas.h"
#include "laconic/quant/statistic/statistic.h"
#include "parts.h"

namespace laconic::golden {

Answer answer_zero_point(const Case& item) {
  TORCH_CHECK_VALUE(item.op == "zero_point_from_min", "op: unknown value ", item.op,
                    "; known is zero_point_from_min.");
  Options options(item.options);
  Answer answer;
  const at::Tensor w = item.input("w").requires_grad_();
  const at::Tensor scale = item.input("scale").requires_grad_();
  answer.leaves = {{"w", w}, {"scale", scale}};
  const double bits = read_bits(options);
  const bool is_signed = options.flag("signed", false);
  const IntFormat format = make_format(bits, is_signed, options.flag("narrow_range", false));
  const ZeroPoint kind =
      options.flag("integer_zero_point", true) ? ZeroPoint(IntegerZeroPoint{}) : FloatZeroPoint{};
  ZeroPointCode code{read_rounding(options), Clipped{}};
  if (options.has("clamp_gradient")) code.gradient = read_clamp_gradient(options);
  Granularity granularity = PerTensor{};
  const auto word = options.word("granularity", {"tensor", "channel0", "channel1"});
  if (word != "tensor") granularity = PerChannel{word == "channel0" ? 0 : 1};
  options.finish();

  const auto shape = scale_shape(w.sizes(), granularity);
  TORCH_CHECK_VALUE(scale.sizes() == at::IntArrayRef(shape), "input scale: expected shape ",
                    at::IntArrayRef(shape), ", got ", scale.sizes(), ".");
  const at::Tensor minimum = row_minimum(AbsMax{}, rows_of(w, granularity)).reshape(shape);
  const CodeBounds bounds = code_bounds(format, at::full({}, bits));
  answer.differentiated = zero_point_of_minimum(kind, minimum, scale, bounds, code);
  answer.outputs = {{"zero_point", answer.differentiated}};
  answer.steps = {{"zero_point", at::ones({})}};
  return answer;
}

}  // namespace laconic::golden
