// The autograd functions of losses over several processes.
#undef TORCH_ASSERT_ONLY_METHOD_OPERATORS
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "laconic/calibrate/shared_work.h"

namespace laconic {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

constexpr const char* kProcesses = "processes";

void keep(AutogradContext* context, Processes* processes) {
  context->saved_data[kProcesses] = reinterpret_cast<int64_t>(processes);
}
Processes& kept(AutogradContext* context) {
  return *reinterpret_cast<Processes*>(context->saved_data[kProcesses].toInt());
}

/// Weights as they are; their gradients are summed over the processes, all at once.
struct SumOfGradients : torch::autograd::Function<SumOfGradients> {
  static variable_list forward(AutogradContext* context, Processes* processes,
                               const at::TensorList& weights) {
    keep(context, processes);
    context->save_for_backward(weights.vec());
    variable_list same;
    for (const Variable& weight : weights) same.push_back(weight.view_as(weight));
    return same;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list weights = context->get_saved_variables();
    std::vector<at::Tensor> flat;
    for (size_t i = 0; i < gradients.size(); ++i)
      flat.push_back((gradients[i].defined() ? gradients[i] : at::zeros_like(weights[i]))
                         .to(at::kFloat)
                         .flatten());
    at::Tensor all = at::cat(flat);
    kept(context).sum(all);
    variable_list found{Variable()};  // of the processes
    int64_t begin = 0;
    for (const Variable& weight : weights) {
      found.push_back(all.narrow(0, begin, weight.numel()).view_as(weight).to(weight.dtype()));
      begin += weight.numel();
    }
    return found;
  }
};

/// The sum over the processes; each term has the sum's gradient.
struct SumOfLosses : torch::autograd::Function<SumOfLosses> {
  static Variable forward(AutogradContext*, Processes* processes, const Variable& loss) {
    at::Tensor sum = loss.clone();
    processes->sum(sum);
    return sum;
  }
  static variable_list backward(AutogradContext*, const variable_list& gradients) {
    return {Variable(), gradients.front()};
  }
};

}  // namespace

BlockLossFunction shared_loss(Processes& processes, const Share& windows, BlockLossFunction mine) {
  return [&processes, windows, mine = std::move(mine)](const std::vector<int64_t>& wanted,
                                                       const std::vector<at::Tensor>& weights) {
    std::vector<int64_t> own;
    for (const int64_t window : wanted)
      if (windows.holds(window)) own.push_back(window - windows.begin);
    const auto shared = SumOfGradients::apply(&processes, at::TensorList(weights));
    const double part = static_cast<double>(own.size()) / static_cast<double>(wanted.size());
    // Nothing of its own: still a term of the sum, with gradients of zero.
    const at::Tensor loss = own.empty() ? shared.front().narrow(0, 0, 0).sum().to(at::kFloat)
                                        : mine(own, shared) * part;
    return SumOfLosses::apply(&processes, loss);
  };
}

}  // namespace laconic
