#include "laconic/transform/rotate/learn.h"

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_qr.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "laconic/base/memory.h"
#include "laconic/base/progress.h"
#include "laconic/graph/run.h"
#include "laconic/kernel/same_each_time.h"
#include "laconic/load/placement.h"
#include "laconic/optimize/cayley.h"
#include "laconic/optimize/schedule.h"

namespace laconic::transform {
namespace {

// Looks at the loss on the way, the last one at the end.
constexpr int64_t kLooks = 4;
// One window of so many is only looked at, and at most so many are.
constexpr int64_t kWindowsOfLook = 8, kMostLooked = 16;
// The fixed point leaves a step a little beside the manifold.
constexpr int64_t kStepsOfDrift = 10;

/// Of memory. For each token and layer: inputs, quantized, and what their quantizers keep; outputs,
/// and what is made of them up to the next layer. Of the largest parameter: itself, rotated,
/// turned, and gradients. Of all matrices: themselves, gradients, and the best so far. Of one: what
/// a step makes of it.
constexpr int64_t kOfInputs = 4, kOfOutputs = 3, kOnTheWayBack = 6, kOfAll = 4, kOfOne = 8;

/// Parameters with the rotations in them. They are multiplied once for all windows of a step, whose
/// gradients they gather; these go on to the matrices at its end, one parameter at a time.
class RotatedParameters : public graph::Parameters {
 public:
  RotatedParameters(const graph::Parameters& below, const std::vector<LearnedRegion>& regions,
                    at::Device device)
      : below_(below) {
    for (size_t i = 0; i < regions.size(); ++i) {
      for (const Site& site : regions[i].sites) sites_[site.part.parameter].emplace_back(i, site);
      matrices.push_back(at::eye(regions[i].size, at::device(device).dtype(at::kFloat)));
    }
  }

  /// From now on `get` gives what the matrices make of the parameters.
  void multiply();
  /// The gradient of each matrix, from those of the parameters that `multiply` made, which are gone
  /// then.
  void carry_back();

  at::Tensor get(const std::string& name) const override {
    const auto found = rotated_.find(name);
    return found == rotated_.end() ? below_.get(name) : found->second;
  }
  bool has(const std::string& name) const override { return below_.has(name); }
  graph::Description describe(const std::string& name) const override {
    return below_.describe(name);
  }
  void release(const std::string& name) const override { below_.release(name); }

  std::vector<at::Tensor> matrices;

 private:
  at::Tensor compute(const std::string& name) const;

  const graph::Parameters& below_;
  std::map<std::string, std::vector<std::pair<size_t, Site>>> sites_;
  std::map<std::string, at::Tensor> rotated_;
};

at::Tensor RotatedParameters::compute(const std::string& name) const {
  auto tensor = below_.get(name);
  for (const auto& [region, site] : sites_.at(name))
    tensor = rotated(tensor, site, {matrices[region].size(0), {}, matrices[region]});
  below_.release(name);
  return tensor;
}

void RotatedParameters::multiply() {
  const bool learns = at::GradMode::is_enabled();
  const at::NoGradGuard no_gradient;
  for (const auto& [name, sites] : sites_) rotated_[name] = compute(name).requires_grad_(learns);
}

void RotatedParameters::carry_back() {
  for (at::Tensor& matrix : matrices) matrix = matrix.detach().requires_grad_();
  for (auto& [name, tensor] : rotated_) {
    if (tensor.grad().defined()) compute(name).backward(tensor.grad());
    tensor = at::Tensor();
  }
  rotated_.clear();
}

bool is_dynamic(const QuantSpec& spec) { return !std::holds_alternative<StaticScale>(spec.scale); }

graph::Graph quantized_graph(const FloatNetwork& network, const RotationLearning& options) {
  std::map<std::string, graph::LayerQuantizers> placed;
  for (const graph::LinearLayer& layer : graph::find_linear_layers(network.graph)) {
    graph::LayerQuantizers quantizers;
    const auto input = network.context.inputs.find(layer.name);
    if (input != network.context.inputs.end() && is_dynamic(input->second))
      quantizers.input = graph::Quantizer{input->second, {}};
    const auto weight = network.context.weights.find(layer.name);
    if (options.quantizes_weights && weight != network.context.weights.end() &&
        is_dynamic(weight->second))
      quantizers.weight = graph::Quantizer{weight->second, {}};
    if (quantizers.input || quantizers.weight) placed[layer.name] = quantizers;
  }
  TORCH_CHECK_VALUE(!placed.empty(), "[transform spin] rotations are learned through quantizers: ",
                    "expected a recipe that quantizes inputs by the token or the group, got none. ",
                    "Set quantized_weights: true, or put rotate in its place.");
  return graph::place_quantizers(network.graph, placed);
}

at::Tensor loss_of(const graph::Runner& runner, const graph::Parameters& parameters,
                   const at::Tensor& windows) {
  const auto logits = runner(windows, parameters);
  return at::cross_entropy_loss(logits.slice(1, 0, -1).flatten(0, 1).to(at::kFloat),
                                windows.slice(1, 1).flatten());
}

/// Windows to learn on, and others that say whether that helped: what is learned of a few windows
/// may be of them alone. Few windows serve for both.
struct Windows {
  Windows(const TransformContext& context, int64_t wanted) : at_once(context.batch) {
    const at::Tensor all = context.windows.to(context.device);
    const int64_t count = all.size(0), apart = std::min(count / kWindowsOfLook, kMostLooked);
    learned = all.slice(0, 0, std::min(count - apart, wanted));
    looked = apart == 0 ? learned : all.slice(0, count - apart);
  }
  /// Those that a step learns on, as many as go through the network at once in each tensor.
  std::vector<at::Tensor> of_step(int64_t step, int64_t batch) const {
    const auto numbers = at::arange(step * batch, (step + 1) * batch) % learned.size(0);
    return learned.index_select(0, numbers.to(learned.device())).split(at_once);
  }

  at::Tensor learned, looked;
  int64_t at_once;
};

/// Rotations with the loss that they have over all windows.
struct Candidate {
  std::vector<at::Tensor> matrices;
  double loss = 0;
  int64_t step = 0;
};

Candidate look_at(const graph::Runner& runner, RotatedParameters& parameters,
                  const Windows& windows, int64_t step) {
  const at::NoGradGuard no_gradient;
  parameters.multiply();
  Candidate candidate{{}, 0, step};
  for (const at::Tensor& part : windows.looked.split(windows.at_once))
    candidate.loss +=
        loss_of(runner, parameters, part).item<double>() * static_cast<double>(part.size(0));
  candidate.loss /= static_cast<double>(windows.looked.size(0));
  for (const at::Tensor& matrix : parameters.matrices)
    candidate.matrices.push_back(matrix.detach().clone());
  return candidate;
}

/// The nearby matrix with orthonormal rows that Gram and Schmidt give.
at::Tensor orthonormal(const at::Tensor& matrix) {
  const auto [q, r] = at::linalg_qr(matrix.detach().t().to(at::kDouble));
  return (q * r.diagonal().sign()).t().to(at::kFloat).contiguous();
}

/// Shows the steps done at each look, with rotations in `parameters`.
void descend(const graph::Runner& runner, RotatedParameters& parameters, const Windows& windows,
             const RotationLearning& options, Progress& progress,
             const std::function<void(int64_t done)>& look) {
  const at::AutoGradMode gradient(true);
  const FreedMemoryKept kept;
  const optimize::LinearDecay rate{.steps = options.steps, .start = options.rate, .end = 0};
  std::vector<optimize::CayleySgd> optimizers(parameters.matrices.size());
  for (int64_t step = 0; step < options.steps; ++step) {
    const bool looks = step * kLooks / options.steps != (step + 1) * kLooks / options.steps;
    parameters.multiply();
    for (const at::Tensor& part : windows.of_step(step, options.batch)) {
      const auto share = static_cast<double>(part.size(0)) / static_cast<double>(options.batch);
      (loss_of(runner, parameters, part) * share).backward();
      progress.advance(part.size(0));
    }
    parameters.carry_back();
    for (size_t i = 0; i < optimizers.size(); ++i) {
      at::Tensor& matrix = parameters.matrices[i];
      if (matrix.grad().defined()) optimizers[i].step(matrix, matrix.grad(), rate.at(step));
      if (step % kStepsOfDrift == 0 || looks) matrix = orthonormal(matrix);
    }
    if (looks) look(step + 1);
  }
}

}  // namespace

SegmentNeeds learning_needs(const FloatNetwork& network, const std::vector<LearnedRegion>& regions,
                            const RotationLearning& options) {
  SegmentNeeds needs{.kind = "learning rotations of", .largest = "all layers"};
  std::set<std::string> parameters;
  int64_t largest = 0, matrices = 0, widest = 0;
  for (const LearnedRegion& region : regions) {
    for (const Site& site : region.sites) parameters.insert(site.part.parameter);
    const int64_t matrix = vector_bytes(region.size * region.size);
    matrices += matrix;
    widest = std::max(widest, matrix);
  }
  // Rotated, and its gradient; another device keeps what it is made of too.
  const int64_t copies = network.context.device.is_cpu() ? 2 : 3;
  for (const std::string& name : parameters) {
    const int64_t bytes = float_bytes(network, name);
    needs.weights += copies * bytes;
    largest = std::max(largest, bytes);
  }
  int64_t features = 0;
  std::set<graph::Value> inputs;
  for (const graph::LinearLayer& layer : graph::find_linear_layers(network.graph)) {
    const auto shape = network.parameters->describe(layer.weight_name).shape;
    const int64_t in = shape.at(layer.transposed ? 0 : 1), out = shape.at(layer.transposed ? 1 : 0);
    features += kOfOutputs * out + (inputs.insert(layer.input).second ? kOfInputs * in : 0);
    if (options.quantizes_weights && network.context.weights.contains(layer.name))
      needs.weights += float_bytes(network, layer.weight_name);
  }
  const at::Tensor& windows = network.context.windows;
  const int64_t length = windows.defined() ? windows.size(1) : 0;
  needs.per_window = vector_bytes(features * length);
  needs.solving = kOnTheWayBack * largest + kOfAll * matrices + kOfOne * widest;
  return needs;
}

LearningOutcome learn_rotations(FloatNetwork& network, const std::vector<LearnedRegion>& regions,
                                const RotationLearning& options) {
  const at::Tensor& given = network.context.windows;
  TORCH_CHECK_VALUE(given.defined() && given.size(0) > 0,
                    "[transform spin] expected calibration windows, got none. Give a text with "
                    "--calibration FILE.");
  const graph::Runner runner(quantized_graph(network, options));
  const kernel::SameEachTime same(network.context.device);
  const auto below = placed(network.parameters, network.context.device, /*resident=*/true);
  RotatedParameters parameters(*below, regions, network.context.device);
  const Windows windows(network.context, options.steps * options.batch);
  Candidate best = look_at(runner, parameters, windows, 0);
  LearningOutcome outcome{.loss_before = best.loss};
  Progress progress("learn rotations", options.steps * options.batch, network.context.progress);
  descend(runner, parameters, windows, options, progress, [&](int64_t done) {
    // Not for a loss that is no number.
    if (Candidate now = look_at(runner, parameters, windows, done); now.loss < best.loss)
      best = std::move(now);
  });
  outcome.loss_after = best.loss;
  outcome.best_step = best.step;
  for (size_t i = 0; i < regions.size() && best.step > 0; ++i)
    rotate_sites(network, regions[i].sites, {regions[i].size, {}, best.matrices[i].cpu()});
  return outcome;
}

}  // namespace laconic::transform
