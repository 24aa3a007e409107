#include <ATen/ATen.h>

#include "areas.h"
#include "laconic/quant/tensor/operands.h"
#include "laconic/quant/tensor/truncate.h"
#include "parts.h"
#include "tensors.h"

namespace laconic::golden {

Answer answer_core_trunc(const Case& item) {
  TORCH_CHECK_VALUE(item.op == "trunc_quant", "op: unknown value ", item.op,
                    "; known is trunc_quant.");
  Options options(item.options);
  const int64_t input_bits = options.whole("input_bits", 1, 62);
  Truncation truncation;
  truncation.bit_width = options.whole("output_bits", 1, 62);
  const bool is_signed = options.flag("signed", true);
  truncation.rounding = read_rounding(options);
  truncation.narrow_range = options.flag("narrow_range", false);
  options.word("trunc_scale", {"msb"});
  options.finish();
  Answer answer;
  const auto leaf = [&](const std::string& name) {
    return answer.leaves[name] = item.input(name).requires_grad_();
  };
  const at::Tensor x = leaf("x"), scale = leaf("scale");
  const QuantTensor result = truncate(truncation, integer_tensor(x, scale, item.input("zero_point"),
                                                                 {input_bits, is_signed, false}));
  answer.differentiated = result.value;
  answer.outputs = {{"y", result.value},
                    {"scale", result.scale},
                    {"zero_point", zero_point_of(result)},
                    {"bit_width", bit_width_of(result)}};
  return answer;
}

}  // namespace laconic::golden
