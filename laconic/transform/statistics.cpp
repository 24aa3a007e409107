#include "laconic/transform/statistics.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/maximum.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <map>

#include "laconic/calibrate/activations.h"
#include "laconic/calibrate/statistics_store.h"
#include "laconic/load/placement.h"

namespace laconic::transform {
namespace {

InputStatistics input_statistics(const FeatureStatistics& found, at::Device device) {
  if (found.rows == 0) return {};
  const auto there = [&](const at::Tensor& x) { return x.defined() ? x.to(device) : x; };
  return {there(at::maximum(found.maximum, found.minimum.neg())), there(found.magnitude),
          there(found.hessian), found.rows};
}

/// From what was gathered before, of the network that nothing has changed yet.
void show_stored(const FloatNetwork& network, const std::vector<WatchedInput>& watched,
                 const SeeInput& see) {
  const StatisticsStore& store = *network.context.statistics;
  TORCH_CHECK_VALUE(network.changed.empty() && network.graph_changes.empty(),
                    "[transform] the transforms before changed the network, and the statistics of ",
                    store.directory().string(),
                    " are of the one before. Put this transform first, ",
                    "or give --calibration in place of --statistics.");
  std::map<graph::Value, std::string> readers;
  for (const graph::LinearLayer& layer : graph::find_linear_layers(network.graph))
    readers.emplace(layer.input, layer.name);
  for (size_t i = 0; i < watched.size(); ++i) {
    const auto reader = readers.find(watched[i].value);
    TORCH_CHECK_VALUE(reader != readers.end(), "[transform] layer ", watched[i].layer,
                      ": what is looked at for it is the input of no linear layer, so that ",
                      store.directory().string(), " has no statistics of it. Give --calibration ",
                      "in place of --statistics.");
    see(i, input_statistics(store.features(reader->second), network.context.device));
  }
}

/// How many times all windows go from one place to another.
int64_t looks_and_moves(const std::vector<graph::Block>& blocks,
                        const std::vector<WatchedInput>& watched) {
  const graph::NodeId last = watched.empty() ? 0 : watched.back().stop;
  const auto moves = std::count_if(blocks.begin(), blocks.end(),
                                   [&](const graph::Block& block) { return block.begin < last; });
  return static_cast<int64_t>(watched.size()) + moves;
}

}  // namespace

std::string unreached(const std::string& layer) {
  return layer + " stays as it is: no token of the calibration text reached it.";
}

void visit_inputs(const FloatNetwork& network, const std::vector<WatchedInput>& watched,
                  Products products, const SeeInput& see) {
  const at::NoGradGuard no_gradient;
  if (network.context.statistics != nullptr) return show_stored(network, watched, see);
  TORCH_CHECK_VALUE(network.context.windows.defined() && network.context.windows.size(0) > 0,
                    "[transform] statistics of inputs: expected calibration windows, got none. "
                    "Give a text with --calibration FILE.");
  const graph::Runner runner(network.graph);
  const auto blocks = graph::find_blocks(runner.graph());
  const at::Device device = network.context.device;
  const auto parameters = placed(network.parameters, device, /*resident=*/false);
  Activations activations(runner, network.context.windows.to(device), network.context.batch,
                          network.context.place);
  Progress progress("transform", looks_and_moves(blocks, watched) * activations.count(),
                    network.context.progress);
  size_t block = 0;
  for (size_t i = 0; i < watched.size(); ++i) {
    for (; block < blocks.size() && blocks[block].begin < watched[i].stop; ++block) {
      activations.advance(blocks[block].begin, *parameters, progress);
      activations.begin_block();
    }
    FeatureMoments moments(products);
    activations.visit(watched[i].stop, watched[i].value, *parameters, progress,
                      [&](const at::Tensor& x) { moments.add(x); });
    see(i, input_statistics(moments.finish("[transform] layer " + watched[i].layer), device));
  }
}

}  // namespace laconic::transform
