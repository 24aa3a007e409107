#include <ATen/ATen.h>

#include "areas.h"
#include "laconic/quant/quantizer/quantize.h"
#include "parts.h"

namespace laconic::golden {
namespace {

Rounding read_learned_rounding(Options& options) {
  const auto word = options.word("learned_round", {"hard_sigmoid", "sigmoid", "identity"});
  if (word == "hard_sigmoid") {
    return LearnedHardSigmoid{options.number("gamma", -10, 0, LearnedHardSigmoid{}.stretch_low),
                              options.number("zeta", 1, 10, LearnedHardSigmoid{}.stretch_high)};
  }
  if (word == "sigmoid") return LearnedSigmoid{options.number("temperature", 1e-6, 1e6, 1)};
  return LearnedOffset{};
}

QuantSpec read_spec(Options& options) {
  QuantSpec spec;
  spec.rounding = read_learned_rounding(options);
  spec.format = make_format(read_bits(options), options.flag("signed", true),
                            options.flag("narrow_range", false));
  spec.granularity = read_granularity(options, "linear");
  options.word("scale_stat", {"absmax"}, "absmax");
  options.word("scale_source", {"stats"}, "stats");
  spec.scale = StatisticScale{{.threshold = Threshold::kFullRange}};
  options.finish();
  check(spec);
  return spec;
}

}  // namespace

Answer answer_learned_round(const Case& item) {
  Options options(item.options);
  const QuantSpec spec = read_spec(options);
  Answer answer;
  const at::Tensor w = item.input("w").requires_grad_();
  QuantParameters parameters = find_parameters(spec, w);
  answer.outputs["scale"] = parameters.scale;
  if (item.op == "learned_round_init") {
    parameters.rounding = make_rounding_state(spec.rounding, w / parameters.scale);
    answer.outputs["v"] = parameters.rounding.value;
  } else {
    TORCH_CHECK_VALUE(item.op == "learned_round_weight", "op: unknown value ", item.op, ".");
    parameters.rounding.value = item.input("v").requires_grad_();
    answer.leaves = {{"w", w}, {"v", parameters.rounding.value}};
    answer.outputs["eval.value"] = fake_quantize(spec, w, parameters);
    answer.outputs["eval.codes"] = quantize_codes(spec, w, parameters);
  }
  parameters.rounding.is_training = true;
  answer.outputs["train.value"] = answer.differentiated = fake_quantize(spec, w, parameters);
  return answer;
}

}  // namespace laconic::golden
