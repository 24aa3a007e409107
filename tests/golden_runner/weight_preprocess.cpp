#include <ATen/ATen.h>

#include "areas.h"
#include "laconic/transform/awq/search.h"
#include "laconic/transform/low_rank/low_rank.h"
#include "laconic/transform/magr/magnitude.h"
#include "weight_quantizer.h"

namespace laconic::golden {
namespace {

using transform::FutureWeight;

at::Tensor hessian_of(const at::Tensor& x) { return x.t().mm(x) / x.size(0); }

FutureWeight read_future(Options& options, const at::Tensor& weight) {
  return {weight, read_weight_quantizer(options).spec};
}

void reduce_magnitude(const Case& item, Options& options, Answer& answer) {
  std::vector<at::Tensor> batches;
  for (int i = 0; item.has_input("batch" + std::to_string(i)); ++i)
    batches.push_back(item.input("batch" + std::to_string(i)));
  const at::Tensor weight = item.input("0.weight");
  answer.outputs["weight"] = transform::reduce_magnitude(
      weight, hessian_of(at::cat(batches)), weight.size(1),
      {.alpha = options.number("alpha", 0, 1e6),
       .steps = options.whole("steps", 1, 1000),
       .power_iteration_steps = options.whole("power_iteration_steps", 1, 1000)});
  answer.steps["weight"] = at::full({}, 1e-4);
}

void scale_features(const Case& item, Options& options, Answer& answer) {
  const FutureWeight sink = read_future(options, item.input("b.weight"));
  const at::Tensor x = item.input("x");
  transform::Scaling scaling;
  scaling.width = x.size(1);
  const auto found = transform::search_factors({sink}, hessian_of(x), x.abs().mean(0), scaling,
                                               {.grid = options.whole("grid", 1, 1000)});
  answer.outputs["factor"] = found.factors.reciprocal();
  answer.outputs["source_weight"] = item.input("a.weight") / found.factors.unsqueeze(1);
  answer.outputs["source_bias"] = item.input("a.bias") / found.factors;
  answer.outputs["sink_weight"] = sink.weight * found.factors;
  answer.outputs["scaled_x"] = x / found.factors;
  for (const auto& [name, output] : answer.outputs) answer.steps[name] = at::full({}, 1e-4);
}

void search_clips(const Case& item, Options& options, Answer& answer) {
  const FutureWeight future = read_future(options, item.input("weight"));
  const at::Tensor x = item.input("x").slice(0, 0, options.whole("sample_tokens", 1, 1 << 20));
  answer.outputs["clip_value"] = transform::search_clips(
      future, hessian_of(x),
      {.grid = options.whole("grid", 1, 1000), .max_shrink = options.number("max_shrink", 0, 1)});
  answer.steps["clip_value"] = at::full({}, 1e-4);
}

void find_low_rank(const Case& item, Options& options, Answer& answer) {
  const FutureWeight future = read_future(options, item.input("0.weight"));
  const auto found = transform::find_low_rank(future, options.whole("rank", 1, 1 << 20),
                                              options.whole("iterations", 1, 1000));
  const at::Tensor branch = found.in.mm(found.out).t();
  answer.outputs["low_rank_product"] = branch;
  answer.outputs["residual_weight"] = future.weight - branch;
  answer.outputs["relative_error"] = at::full({1}, found.relative_error);
  for (const auto& [name, output] : answer.outputs) answer.steps[name] = at::full({}, 1e-4);
}

}  // namespace

Answer answer_weight_preprocess(const Case& item) {
  if (item.op == "accumulator_aware_error_feedback") return answer_accumulator(item);
  Options options(item.options);
  Answer answer;
  if (item.op == "power_iteration")
    answer.outputs["eigenvalue"] = transform::power_iteration(item.input("h"), item.input("start"),
                                                              options.whole("steps", 1, 1000));
  else if (item.op == "l1_ball_projection")
    answer.outputs["y"] =
        transform::l1_ball_projection(item.input("x"), options.number("radius", 0, 1e6));
  else if (item.op == "magnitude_reduction")
    reduce_magnitude(item, options, answer);
  else if (item.op == "activation_aware_scaling")
    scale_features(item, options, answer);
  else if (item.op == "clip_search")
    search_clips(item, options, answer);
  else if (item.op == "low_rank_correction")
    find_low_rank(item, options, answer);
  else
    TORCH_CHECK_VALUE(false, "op: unknown value ", item.op, ".");
  options.finish();
  return answer;
}

}  // namespace laconic::golden
