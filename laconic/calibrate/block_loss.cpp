#include "laconic/calibrate/block_loss.h"

#include <ATen/ops/tensor.h>

#include "laconic/base/assert.h"

namespace laconic {

std::vector<graph::Value> BlockLoss::leaving(const Passage& passage) {
  std::vector<graph::Value> values;
  for (const graph::Value& value : passage.runner->live_before(passage.end)) {
    if (value.node >= passage.begin) values.push_back(value);
  }
  return values;
}

BlockLoss::BlockLoss(const Passage& block, const Passage& target,
                     const graph::Parameters& parameters, std::vector<const LayerTask*> tasks,
                     std::vector<at::Tensor> weights)
    : block_(block),
      target_(target),
      parameters_(&parameters),
      tasks_(std::move(tasks)),
      weights_(std::move(weights)),
      leaving_(leaving(block)),
      wanted_(leaving(target)) {
  LACONIC_ASSERT(!leaving_.empty() && leaving_.size() == wanted_.size(), "a block gives ",
                 leaving_.size(), " values, in the float network ", wanted_.size(), ".");
}

at::Tensor BlockLoss::operator()(const std::vector<int64_t>& windows,
                                 const std::vector<at::Tensor>& weights) const {
  graph::OverlaidParameters parameters(*parameters_, {});
  for (size_t i = 0; i < tasks_.size(); ++i) {
    const graph::LinearLayer& layer = tasks_[i]->layer;
    parameters.set(layer.weight_name, layer.transposed ? weights.at(i).t() : weights.at(i));
  }
  graph::Environment environment = block_.activations->gather(windows);
  block_.runner->run(block_.begin, block_.end, parameters, environment, leaving_);
  const graph::Environment wanted = target_.activations->gather(windows);
  at::Tensor loss;
  for (size_t i = 0; i < leaving_.size(); ++i) {
    const at::Tensor& got = environment.at(leaving_[i]);
    if (!got.is_floating_point()) continue;
    at::Tensor lost = (got.to(at::kFloat) - wanted.at(wanted_[i]).to(at::kFloat)).square();
    if (!weights_.empty())
      lost = lost * weights_[i].index_select(0, at::tensor(windows).to(weights_[i].device()));
    lost = lost.mean();
    loss = loss.defined() ? loss + lost : lost;
  }
  LACONIC_ASSERT(loss.defined(), "no floating value leaves the block.");
  return loss;
}

}  // namespace laconic
