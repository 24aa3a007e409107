#include "compare.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <sstream>

namespace laconic::golden {
namespace {

struct Difference {
  at::Tensor size, bad;  // |got - want|, and where it is too large
};

Difference difference(const at::Tensor& got, const at::Tensor& want, const Tolerance& tolerance) {
  const auto same = got.eq(want).logical_or(got.isnan().logical_and(want.isnan()));
  const auto size = (got - want).abs();
  // Infinite bounds must not excuse a finite answer.
  const auto near = size.le(tolerance.atol + tolerance.rtol * want.abs())
                        .logical_and(got.isfinite())
                        .logical_and(want.isfinite());
  return {size.masked_fill(same, 0), same.logical_or(near).logical_not()};
}

std::string describe(const at::Tensor& got, const at::Tensor& want, const Difference& found) {
  const auto size = found.size.masked_fill(found.bad.logical_not(), -1)
                        .nan_to_num(std::numeric_limits<double>::infinity())
                        .reshape(-1);
  const int64_t worst = size.argmax().item<int64_t>();
  std::ostringstream text;
  text.precision(9);
  text << found.bad.sum().item<int64_t>() << " of " << got.numel()
       << " elements differ, largest error " << found.size.reshape(-1)[worst].item<double>()
       << " at " << worst << ": got " << got.reshape(-1)[worst].item<double>() << ", want "
       << want.reshape(-1)[worst].item<double>();
  return text.str();
}

/// Empty when `got` is as recorded.
std::string compare_tensor(const at::Tensor& computed, const at::Tensor& recorded,
                           const Tolerance& tolerance, const at::Tensor& step) {
  std::ostringstream text;
  if (computed.sizes() != recorded.sizes()) {
    text << "got shape " << computed.sizes() << ", want " << recorded.sizes();
    return text.str();
  }
  const auto got = computed.detach().to(at::kDouble), want = recorded.to(at::kDouble);
  const Difference found = difference(got, want, tolerance);
  const int64_t bad = found.bad.sum().item<int64_t>();
  if (bad == 0) return "";
  const double allowed = std::floor(tolerance.mismatch * static_cast<double>(got.numel()) + 1e-9);
  if (static_cast<double>(bad) > allowed || !step.defined()) return describe(got, want, found);
  const auto reach = step.detach().to(at::kDouble).abs() * 1.001 + tolerance.atol;
  const auto far = found.size.le(reach).logical_not().logical_and(found.bad);
  if (!far.any().item<bool>()) return "";
  return "beyond one step: " + describe(got, want, {found.size, far});
}

std::map<std::string, at::Tensor> gradients(const Case& item, const Answer& answer) {
  std::map<std::string, at::Tensor> result;
  std::vector<std::string> names;
  std::vector<at::Tensor> leaves;
  for (const auto& [name, leaf] : answer.leaves) {
    names.push_back(name);
    leaves.push_back(leaf);
  }
  if (leaves.empty() || !answer.differentiated.defined()) return result;
  if (!answer.differentiated.requires_grad()) return result;
  const at::Tensor grad = item.input(answer.gradient);
  TORCH_CHECK_VALUE(grad.sizes() == answer.differentiated.sizes(), answer.gradient,
                    ": expected shape ", answer.differentiated.sizes(), ", got ", grad.sizes(),
                    ".");
  const auto found = torch::autograd::grad({answer.differentiated}, leaves, {grad}, false, false,
                                           /*allow_unused=*/true);
  for (size_t i = 0; i < names.size(); ++i) result[names[i]] = found[i];
  return result;
}

void compare_outputs(const Case& item, const Answer& answer, std::vector<std::string>& failures) {
  for (const auto& [name, reference] : item.outputs) {
    const auto& silent = answer.not_compared;
    if (std::find(silent.begin(), silent.end(), name) != silent.end()) continue;
    const auto found = answer.outputs.find(name);
    if (found == answer.outputs.end() || !found->second.defined()) {
      failures.push_back("output " + name + ": got none");
      continue;
    }
    const auto step = answer.steps.find(name);
    const std::string wrong =
        compare_tensor(found->second, item.read("output " + name, reference), item.tolerance,
                       step == answer.steps.end() ? at::Tensor() : step->second);
    if (!wrong.empty()) failures.push_back("output " + name + ": " + wrong);
  }
}

void compare_gradients(const Case& item, const Answer& answer, std::vector<std::string>& failures) {
  if (item.grads.empty() && item.none.empty()) return;
  const auto found = gradients(item, answer);
  for (const auto& [name, reference] : item.grads) {
    const at::Tensor want = item.read("gradient " + name, reference);
    const auto leaf = answer.leaves.find(name);
    if (leaf == answer.leaves.end()) {
      failures.push_back("gradient " + name + ": got none");
      continue;
    }
    const auto got = found.find(name);
    // No path is a gradient of zero.
    const bool absent = got == found.end() || !got->second.defined();
    const at::Tensor value = absent ? at::zeros_like(leaf->second) : got->second;
    // A code that falls on its other side changes a gradient by any amount.
    const at::Tensor any = at::full({}, std::numeric_limits<double>::infinity());
    const std::string wrong = compare_tensor(value, want, item.tolerance, any);
    if (!wrong.empty()) failures.push_back("gradient " + name + ": " + wrong);
  }
  for (const std::string& role : item.none) {
    if (role.rfind("grad.", 0) != 0) continue;
    const auto got = found.find(role.substr(5));
    if (got != found.end() && got->second.defined() && got->second.ne(0).any().item<bool>())
      failures.push_back("gradient " + got->first + ": expected none, got one");
  }
}

}  // namespace

std::vector<std::string> compare(const Case& item, const Answer& answer) {
  std::vector<std::string> failures = answer.failures;
  compare_outputs(item, answer, failures);
  compare_gradients(item, answer, failures);
  for (const std::string& role : item.none) {
    const auto found = answer.outputs.find(role);
    if (found != answer.outputs.end() && found->second.defined())
      failures.push_back("output " + role + ": expected none, got one");
  }
  return failures;
}

}  // namespace laconic::golden
