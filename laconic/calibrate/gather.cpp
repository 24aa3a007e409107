#include "laconic/calibrate/gather.h"

#include <ATen/core/grad_mode.h>

#include <memory>

#include "laconic/base/disk_memory.h"
#include "laconic/base/interrupt.h"
#include "laconic/base/memory.h"
#include "laconic/base/progress.h"
#include "laconic/calibrate/activations.h"
#include "laconic/calibrate/check_windows.h"
#include "laconic/calibrate/memory_plan.h"
#include "laconic/calibrate/segment_work.h"
#include "laconic/calibrate/segments.h"

namespace laconic {
namespace {

/// Every linear layer, as if all were to be solved with a Hessian.
std::vector<LayerPlan> every_layer(const LanguageModel& model) {
  std::vector<LayerPlan> plans;
  for (const graph::LinearLayer& layer : model.layers)
    plans.push_back({.layer = layer, .weight = {}, .input = {}, .needs_hessian = true});
  return plans;
}

/// Segments behind the last one with layers need not run.
size_t count_to_run(const EngineGraph& graph) {
  size_t count = 0;
  for (size_t i = 0; i < graph.segments.size(); ++i)
    if (!graph.segments[i].groups.empty()) count = i + 1;
  return count;
}

class Gathering {
 public:
  Gathering(const LanguageModel& model, const at::Tensor& windows, const EngineOptions& options,
            const std::filesystem::path& working)
      : model_(model),
        options_(options),
        plans_(every_layer(model)),
        graph_(plan_segments(model, plans_, /*quantized_inputs=*/false)),
        run_(count_to_run(graph_)),
        memory_(plan(windows)),
        disk_(memory_.carried == KeptIn::kDisk ? std::make_shared<DiskMemory>(working) : nullptr),
        runner_(graph_.graph),
        activations_(runner_, windows.to(options.device), memory_.batch,
                     {memory_.carried != KeptIn::kDevice, disk_}) {}

  MemoryReport run(const SeeStatistics& see);

 private:
  MemoryReport plan(const at::Tensor& windows) const;
  int64_t passes() const;
  void look(const LayerGroup& group, const SegmentWork& work, Progress& progress,
            const SeeStatistics& see);

  const LanguageModel& model_;
  const EngineOptions& options_;
  std::vector<LayerPlan> plans_;
  EngineGraph graph_;
  size_t run_;  ///< segments
  MemoryReport memory_;
  std::shared_ptr<DiskMemory> disk_;  ///< of the activations; null: they are in main memory
  graph::Runner runner_;
  Activations activations_;
};

MemoryReport Gathering::plan(const at::Tensor& windows) const {
  const PlannedWork work{.model = model_,
                         .graph = graph_,
                         .run = run_,
                         .windows = windows.size(0),
                         .length = windows.size(1),
                         .solves = false};
  const MemoryReport memory = plan_memory(work, options_, resident_bytes());
  if (options_.host_memory > 0) return_freed_memory_at_once();
  obey_device_limit(options_);
  return memory;
}

/// Of a window through a part of the network.
int64_t Gathering::passes() const {
  int64_t count = static_cast<int64_t>(run_) - 1;
  for (const Segment& segment : graph_.segments)
    count += static_cast<int64_t>(segment.groups.size());
  return count;
}

void Gathering::look(const LayerGroup& group, const SegmentWork& work, Progress& progress,
                     const SeeStatistics& see) {
  StoredInput input;
  for (const LayerTask& task : group.tasks) input.layers.push_back(task.layer.name);
  FeatureMoments moments(FeatureMoments::Products::kHessian);
  activations_.visit(group.stop, group.input, work.parameters(), progress,
                     [&](const at::Tensor& x) {
                       input.features = x.size(-1);
                       input.dimensions = x.dim();
                       moments.add(x);
                     });
  const auto found = moments.finish("[engine] layer " + input.layers.front());
  see(std::move(input), found);
}

MemoryReport Gathering::run(const SeeStatistics& see) {
  Progress progress("calibrate", passes() * activations_.count(), options_.progress);
  for (size_t i = 0; i < run_; ++i) {
    check_interrupt();
    const Segment& segment = graph_.segments[i];
    SegmentWork work(model_, graph_, segment, RunWeights::kFloat);
    work.load();
    activations_.begin_block();
    for (const LayerGroup& group : segment.groups) look(group, work, progress, see);
    if (i + 1 < run_) activations_.advance(segment.end, work.parameters(), progress);
    trim_heap();
  }
  if (disk_ != nullptr) memory_.spilled_bytes = disk_->peak_bytes();
  note_device_peak(options_, memory_);
  return memory_;
}

}  // namespace

MemoryReport gather_statistics(const LanguageModel& model, const at::Tensor& windows,
                               const EngineOptions& options, const std::filesystem::path& working,
                               const SeeStatistics& see) {
  const at::NoGradGuard no_gradients;
  check_windows(model, windows);
  return Gathering(model, windows, options, working).run(see);
}

}  // namespace laconic
