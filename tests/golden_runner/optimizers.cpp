#include <ATen/ATen.h>

#include "areas.h"
#include "laconic/optimize/cayley.h"
#include "laconic/optimize/schedule.h"
#include "laconic/optimize/sign_sgd.h"
#include "options.h"

namespace laconic::golden {
namespace {

/// Three steps from p0, each with its recorded gradient.
template <typename Optimizer>
void run_steps(const Case& item, Optimizer optimizer, double rate, Answer& answer) {
  at::Tensor parameter = item.input("p0").clone();
  for (int step = 0; item.has_input("grad" + std::to_string(step)); ++step) {
    optimizer.step(parameter, item.input("grad" + std::to_string(step)), rate);
    answer.outputs["p" + std::to_string(step + 1)] = parameter.clone();
    answer.steps["p" + std::to_string(step + 1)] = at::full({}, rate);
  }
}

at::Tensor decayed(const Case& item, Options& options) {
  const optimize::LinearDecay decay{.steps = options.whole("t_max", 1, 1 << 20),
                                    .warmup = options.number("warmup", 0, 0.999),
                                    .start = options.number("start", 0, 1e6),
                                    .end = options.number("end", 0, 1e6)};
  options.ignore({"steps"});
  std::vector<float> values;
  for (const auto& step : item.options.at("steps"))
    values.push_back(static_cast<float>(decay.at(step.get<int64_t>())));
  return at::tensor(values);
}

}  // namespace

Answer answer_optimizers(const Case& item) {
  Options options(item.options);
  Answer answer;
  if (item.op == "temperature_decay") {
    answer.outputs["b"] = decayed(item, options);
  } else if (item.op == "cayley_step") {
    const optimize::CayleySgd optimizer(
        {.momentum = options.number("momentum", 0, 0.999),
         .inner_iterations = options.whole("inner_iterations", 1, 100)});
    run_steps(item, optimizer, options.number("lr", 0, 1e6), answer);
  } else {
    TORCH_CHECK_VALUE(item.op == "sign_sgd_step", "op: unknown value ", item.op, ".");
    const optimize::SignSgd optimizer({.momentum = options.number("momentum", 0, 0.999),
                                       .weight_decay = options.number("weight_decay", 0, 1e6)});
    run_steps(item, optimizer, options.number("lr", 0, 1e6), answer);
  }
  options.finish();
  return answer;
}

}  // namespace laconic::golden
