#include "laconic/solve/learned/loop.h"

#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <variant>

#include "laconic/base/interrupt.h"
#include "laconic/base/memory.h"
#include "laconic/graph/mixed_precision.h"
#include "laconic/kernel/philox.h"
#include "laconic/kernel/same_each_time.h"
#include "laconic/solve/problem.h"

namespace laconic::learned_rounding {
namespace {

/// Windows that go through the block at once: what autograd keeps of them is all in memory.
constexpr int64_t kAtOnce = 4;

using State = std::vector<std::vector<at::Tensor>>;

struct Best {
  double loss = std::numeric_limits<double>::infinity();  ///< relative to the beginning's
  State state;
};

class Loop {
 public:
  Loop(const char* solver, const BlockProblem& problem, const Variables& variables,
       const LoopOptions& options)
      : solver_(solver), problem_(problem), variables_(variables), options_(options) {}

  std::vector<LayerSolution> run();

 private:
  void step(int64_t number, Best& best);
  at::Tensor loss_of(const std::vector<int64_t>& part, const std::vector<at::Tensor>& weights);
  std::vector<LayerSolution> solutions();
  double loss_of_all();
  double check(double loss, const char* when) const;
  State state() const;
  void restore(const State& state);

  const char* solver_;
  const BlockProblem& problem_;
  const Variables& variables_;
  const LoopOptions& options_;
  double begin_ = 0;  ///< loss over all windows that it began with
};

/// Calls `see` with windows that go through the block at once, and their share of all.
template <typename See>
void for_each_part(const std::vector<int64_t>& windows, const See& see) {
  for (size_t first = 0; first < windows.size(); first += kAtOnce) {
    const size_t end = std::min(windows.size(), first + kAtOnce);
    const std::vector<int64_t> part(windows.begin() + static_cast<int64_t>(first),
                                    windows.begin() + static_cast<int64_t>(end));
    see(part, static_cast<double>(part.size()) / static_cast<double>(windows.size()));
  }
}

double Loop::check(double loss, const char* when) const {
  TORCH_CHECK_VALUE(std::isfinite(loss), "[", solver_, "] ", problem_.name,
                    ": the loss is NaN or infinite ", when,
                    ". Look for an overflow in the block's activations.");
  return loss;
}

/// Keeps the state that it found where no loss was less.
void Loop::step(int64_t number, Best& best) {
  check_interrupt();
  std::vector<at::Tensor> weights;
  for (const auto& variable : variables_)
    weights.push_back(variable->weight().detach().requires_grad_());
  double total = 0;
  const auto windows = draw_windows(problem_.windows, options_.batch, options_.seed, number);
  for_each_part(windows, [&](const std::vector<int64_t>& part, double share) {
    const at::AutoGradMode records(true);
    const at::Tensor loss = loss_of(part, weights) * (share / begin_);
    loss.backward();
    total += loss.item<double>();
  });
  check(total, "while learning");
  if (options_.keeps_best && total < best.loss) best = {total, state()};
  for (size_t i = 0; i < weights.size(); ++i) variables_[i]->step(weights[i].grad(), number);
}

/// For gradients; the loss itself is a sum of float32.
at::Tensor Loop::loss_of(const std::vector<int64_t>& part, const std::vector<at::Tensor>& weights) {
  const c10::DeviceType device = weights.front().device().type();
  const bool is_mixed =
      options_.has_mixed_precision.value_or(graph::MixedPrecision::is_fast(device));
  const graph::MixedPrecision mixed(is_mixed, device);
  return problem_.loss(part, weights);
}

double Loop::loss_of_all() {
  std::vector<at::Tensor> weights;
  for (size_t i = 0; i < variables_.size(); ++i) {
    const LayerSolution solution = variables_[i]->solution();
    weights.push_back(
        dequantize(problem_.layers[i].spec, solution.codes, solution.parameters).to(at::kFloat));
  }
  std::vector<int64_t> all(static_cast<size_t>(problem_.windows));
  std::iota(all.begin(), all.end(), 0);
  double total = 0;
  for_each_part(all, [&](const std::vector<int64_t>& part, double share) {
    check_interrupt();
    total += share * problem_.loss(part, weights).item<double>();
  });
  return check(total, "over all windows");
}

State Loop::state() const {
  State state;
  for (const auto& variable : variables_) state.push_back(variable->state());
  return state;
}

void Loop::restore(const State& state) {
  for (size_t i = 0; i < variables_.size(); ++i) variables_[i]->restore(state[i]);
}

std::vector<LayerSolution> Loop::run() {
  const at::NoGradGuard no_gradient;
  const FreedMemoryKept kept;  // each step takes what the one before it freed
  const kernel::SameEachTime same(problem_.layers.front().weight.device());
  begin_ = options_.steps > 0 ? loss_of_all() : 0;
  if (begin_ == 0) return solutions();
  std::vector<State> candidates = {state()};
  Best best;
  for (int64_t number = 0; number < options_.steps; ++number) step(number, best);
  candidates.push_back(state());
  if (!best.state.empty()) candidates.push_back(std::move(best.state));
  size_t chosen = 0;
  double error = begin_;
  for (size_t i = 1; i < candidates.size(); ++i) {
    restore(candidates[i]);
    const double loss = loss_of_all();
    if (loss < error) error = loss, chosen = i;
  }
  restore(candidates[chosen]);
  std::vector<LayerSolution> result = solutions();
  for (LayerSolution& solution : result) {
    if (chosen == 0)
      solution.notes.emplace_back("nothing learned made the block better: as it began.");
  }
  return result;
}

std::vector<LayerSolution> Loop::solutions() {
  std::vector<LayerSolution> solutions;
  for (const auto& variable : variables_) solutions.push_back(variable->solution());
  return solutions;
}

}  // namespace

std::vector<LayerSolution> learn(const char* solver, const BlockProblem& problem,
                                 const Variables& variables, const LoopOptions& options) {
  return Loop(solver, problem, variables, options).run();
}

std::vector<int64_t> draw_windows(int64_t windows, int64_t count, uint64_t seed, int64_t step) {
  std::vector<int64_t> chosen(static_cast<size_t>(windows));
  std::iota(chosen.begin(), chosen.end(), 0);
  if (count >= windows) return chosen;
  for (int64_t i = 0; i < count; ++i) {
    const auto words =
        kernel::philox({static_cast<uint32_t>(step), static_cast<uint32_t>(i), 0, 0},
                       {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
    const auto other = i + static_cast<int64_t>(words[0] % static_cast<uint64_t>(windows - i));
    std::swap(chosen[static_cast<size_t>(i)], chosen[static_cast<size_t>(other)]);
  }
  chosen.resize(static_cast<size_t>(count));
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

void check_learnable(const char* solver, const LayerProblem& problem) {
  check_problem(solver, problem);
  const auto* ternary = std::get_if<TernaryFormat>(&problem.spec.format);
  TORCH_CHECK_VALUE(ternary == nullptr || ternary->threshold == 0.5, "[", solver, "] layer ",
                    problem.name, ": expected elements that are the nearest ones, got ",
                    to_string(problem.spec),
                    ". Set ternary_threshold to 0.5, or choose nearest or gptq.");
}

std::optional<bool> mixed_precision_option(const char* solver, const nlohmann::json& options) {
  const nlohmann::json& value = options.at("amp");
  if (value == "auto") return std::nullopt;
  TORCH_CHECK_VALUE(value.is_boolean(), "[", solver, "] amp: expected auto, true or false, got ",
                    value.dump(), ".");
  return value.get<bool>();
}

BlockProblem problem_of_layer(const LayerProblem& layer) {
  const auto loss = [&layer](const std::vector<int64_t>&, const std::vector<at::Tensor>& weights) {
    const at::Tensor lost = weights.at(0) - layer.weight;
    return (lost.matmul(layer.hessian) * lost).sum() / static_cast<double>(lost.size(0));
  };
  return {layer.name, {layer}, 1, loss};
}

}  // namespace laconic::learned_rounding
