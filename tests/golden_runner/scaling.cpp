#include <ATen/ATen.h>

#include "areas.h"
#include "parts.h"

namespace laconic::golden {
namespace {

Answer answer_parameter_scale(const Case& item) {
  Options options(item.options);
  ScaleRule rule;
  rule.restriction = read_restriction(options, "restrict");
  rule.minimum = options.number("scale_min", 0, 1e6, 0);
  options.finish();
  Answer answer;
  const at::Tensor stored =
      to_stored_domain(rule.restriction, item.input("init")).detach().requires_grad_();
  // The threshold of a power of two is one too.
  const at::Tensor threshold = from_stored_domain(
      rule.restriction, to_stored_domain(rule.restriction, item.input("threshold")));
  answer.differentiated = scale_of_stored(rule, stored, threshold);
  answer.leaves = {{"stored_param", stored}};
  answer.outputs = {{"stored_param", stored}, {"scale", answer.differentiated}};
  return answer;
}

Answer answer_int_threshold(const Case& item) {
  Options options(item.options);
  const auto kind = options.word("kind", {"int", "power_of_two_int"});
  const Threshold threshold = kind == "int" ? Threshold::kFullRange : Threshold::kPowerOfTwo;
  const bool is_signed = options.flag("signed", true), narrow = options.flag("narrow_range", false);
  options.ignore({"bits"});
  options.finish();
  std::vector<at::Tensor> found;
  for (const auto& bits : item.options.at("bits")) {
    const auto width = at::full({}, bits.get<double>());
    const IntFormat format{bits.get<int64_t>(), is_signed, narrow};
    found.push_back(threshold_code(threshold, code_bounds(format, width), format, width));
  }
  Answer answer;
  answer.outputs = {{"threshold", at::stack(found)}};
  return answer;
}

}  // namespace

Answer answer_scaling(const Case& item) {
  if (item.op == "parameter_scale") return answer_parameter_scale(item);
  TORCH_CHECK_VALUE(item.op == "int_threshold", "op: unknown value ", item.op,
                    "; known are parameter_scale, int_threshold.");
  return answer_int_threshold(item);
}

}  // namespace laconic::golden
