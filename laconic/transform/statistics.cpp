#include "laconic/transform/statistics.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/maximum.h>
#include <c10/util/Exception.h>

#include <optional>

#include "laconic/calibrate/activations.h"
#include "laconic/kernel/gram.h"

namespace laconic::transform {
namespace {

constexpr int64_t kBatch = 4;

/// One input's sums while the windows go by.
struct Sums {
  Products products;
  at::Tensor maximum = {}, total = {};
  std::optional<kernel::GramSum> gram = {};
  int64_t rows = 0;

  void add(const at::Tensor& batch) {
    const auto x = batch.reshape({-1, batch.size(-1)});
    if (x.size(0) == 0) return;
    const auto magnitude = x.abs();
    const auto largest = magnitude.amax(0), sum = magnitude.sum(0, false, at::kDouble);
    maximum = maximum.defined() ? at::maximum(maximum, largest) : largest;
    total = total.defined() ? total + sum : sum;
    rows += x.size(0);
    if (products == Products::kNone) return;
    if (!gram) gram.emplace(x.size(1));
    gram->add(x.to(at::kFloat));
  }

  InputStatistics finish(const std::string& layer) {
    if (rows == 0) return {};
    TORCH_CHECK_VALUE(total.isfinite().all().item<bool>(), "[transform] layer ", layer,
                      ": its input holds NaN or infinity on the calibration data. Look at the "
                      "weights of the layers before it.");
    const auto count = static_cast<double>(rows);
    return {maximum.to(at::kFloat), (total / count).to(at::kFloat),
            gram ? gram->mean() : at::Tensor(), rows};
  }
};

}  // namespace

std::string unreached(const std::string& layer) {
  return layer + " stays as it is: no token of the calibration text reached it.";
}

void visit_inputs(const FloatNetwork& network, const std::vector<WatchedInput>& watched,
                  Products products, const SeeInput& see) {
  const at::NoGradGuard no_gradient;
  TORCH_CHECK_VALUE(network.context.windows.defined() && network.context.windows.size(0) > 0,
                    "[transform] statistics of inputs: expected calibration windows, got none. "
                    "Give a text with --calibration FILE.");
  const graph::Runner runner(network.graph);
  const auto blocks = graph::find_blocks(runner.graph());
  Activations activations(runner, network.context.windows, kBatch);
  Progress progress("transform", 0, /*enabled=*/false);
  size_t block = 0;
  for (size_t i = 0; i < watched.size(); ++i) {
    for (; block < blocks.size() && blocks[block].begin < watched[i].stop; ++block) {
      activations.advance(blocks[block].begin, *network.parameters, progress);
      activations.begin_block();
    }
    Sums sums{products};
    activations.visit(watched[i].stop, watched[i].value, *network.parameters, progress,
                      [&](const at::Tensor& x) { sums.add(x); });
    see(i, sums.finish(watched[i].layer));
  }
}

}  // namespace laconic::transform
