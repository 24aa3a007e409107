#include "laconic/quant/bit_width/bit_width.h"

#include <ATen/ATen.h>

#include "areas.h"
#include "options.h"

namespace laconic::golden {
namespace {

Answer answer_parameter(const Case& item) {
  Options options(item.options);
  const int64_t bits = options.whole("initial_bits", 1, 16);
  const LearnedBits kind{options.whole("min_bits", 1, 16)};
  options.finish();
  Answer answer;
  check_bit_width(kind, bits);
  const at::Tensor offset = item.input("offset_param").requires_grad_();
  answer.leaves = {{"offset_param", offset}};
  answer.differentiated = learned_bit_width(kind, offset);
  return answer;
}

Answer answer_clamp(const Case& item) {
  Options options(item.options);
  const BitClamp clamp{options.number("min_bits", 0, 64), options.number("max_bits", 0, 64)};
  at::Tensor removed = at::full({}, options.number("bits_to_remove", 0, 64));
  const bool learned = options.flag("learned", false);
  options.finish();
  Answer answer;
  if (learned) {
    const at::Tensor coefficient = item.input("coeff_param").requires_grad_();
    answer.leaves = {{"coeff_param", coefficient}};
    removed = removed_bits(coefficient);
  }
  answer.differentiated = clamped_bit_width(clamp, item.input("input_bit_width"), removed);
  return answer;
}

}  // namespace

Answer answer_bit_width(const Case& item) {
  const bool is_parameter = item.op == "bit_width_parameter";
  TORCH_CHECK_VALUE(is_parameter || item.op == "msb_clamp_bit_width", "op: unknown value ", item.op,
                    "; known are bit_width_parameter, msb_clamp_bit_width.");
  Answer answer = is_parameter ? answer_parameter(item) : answer_clamp(item);
  answer.outputs = {{"bit_width", answer.differentiated}};
  return answer;
}

}  // namespace laconic::golden
