#include "laconic/calibrate/fisher_weights.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <numeric>

#include "laconic/base/interrupt.h"
#include "laconic/processes/processes.h"

namespace laconic {
namespace {

/// Mean over the tokens of the windows that have a next one.
at::Tensor next_token_loss(const at::Tensor& logits, const at::Tensor& ids) {
  const int64_t length = ids.size(1);
  const auto likely = at::log_softmax(logits.narrow(1, 0, length - 1).to(at::kFloat), -1);
  return likely.gather(-1, ids.narrow(1, 1, length - 1).unsqueeze(-1)).mean().neg();
}

/// Squared gradients of some windows, one a value; undefined where it is not floating.
std::vector<at::Tensor> squared_gradients(const BlockLoss::Passage& target,
                                          const std::vector<graph::Value>& values,
                                          const graph::Parameters& parameters,
                                          const at::Tensor& windows,
                                          const std::vector<int64_t>& numbers) {
  const at::AutoGradMode records(true);
  graph::Environment environment = target.activations->gather(numbers);
  std::vector<at::Tensor> leaves;
  for (const graph::Value& value : values) {
    at::Tensor& leaf = environment.at(value);
    leaf = leaf.detach();
    if (leaf.is_floating_point()) leaf.requires_grad_();
    leaves.push_back(leaf);
  }
  const graph::Graph& graph = target.runner->graph();
  target.runner->run(target.end, graph.size(), parameters, environment);
  const auto ids = windows.narrow(0, numbers.front(), static_cast<int64_t>(numbers.size()));
  next_token_loss(environment.at({graph.output(), 0}), ids).backward();
  std::vector<at::Tensor> squares;
  for (const at::Tensor& leaf : leaves) {
    if (!leaf.is_floating_point()) {
      squares.emplace_back();
      continue;
    }
    const at::Tensor gradient = leaf.grad();
    squares.push_back(gradient.defined() ? gradient.to(at::kFloat).square()
                                         : at::zeros_like(leaf, at::kFloat));
  }
  return squares;
}

double mean_over_all(const at::Tensor& numbers, Processes* processes) {
  const double sum = numbers.sum(at::kDouble).item<double>();
  at::Tensor both = at::tensor({sum, static_cast<double>(numbers.numel())}, at::kDouble);
  if (processes != nullptr) processes->sum(both);
  return both[0].item<double>() / both[1].item<double>();
}

}  // namespace

std::vector<at::Tensor> fisher_weights(const BlockLoss::Passage& target,
                                       const graph::Parameters& parameters,
                                       const at::Tensor& windows, int64_t batch,
                                       Processes* processes) {
  const auto values = BlockLoss::leaving(target);
  std::vector<std::vector<at::Tensor>> parts(values.size());
  for (int64_t first = 0; first < windows.size(0); first += batch) {
    check_interrupt();
    std::vector<int64_t> numbers(static_cast<size_t>(std::min(batch, windows.size(0) - first)));
    std::iota(numbers.begin(), numbers.end(), first);
    const auto squares = squared_gradients(target, values, parameters, windows, numbers);
    for (size_t i = 0; i < values.size(); ++i)
      if (squares[i].defined()) parts[i].push_back(squares[i]);
  }
  std::vector<at::Tensor> weights;
  for (const auto& part : parts) {
    weights.push_back(part.empty() ? at::Tensor() : at::cat(part));
    if (part.empty()) continue;
    // Where nothing matters all matter alike.
    const double mean = mean_over_all(weights.back(), processes);
    mean > 0 ? weights.back().div_(mean) : weights.back().fill_(1);
  }
  return weights;
}

}  // namespace laconic
