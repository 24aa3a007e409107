#include "laconic/calibrate/engine.h"

#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "laconic/base/assert.h"
#include "laconic/base/disk_memory.h"
#include "laconic/base/interrupt.h"
#include "laconic/base/memory.h"
#include "laconic/base/progress.h"
#include "laconic/calibrate/activations.h"
#include "laconic/calibrate/block_loss.h"
#include "laconic/calibrate/check_windows.h"
#include "laconic/calibrate/fisher_weights.h"
#include "laconic/calibrate/input_moments.h"
#include "laconic/calibrate/journal.h"
#include "laconic/calibrate/kept_tensors.h"
#include "laconic/calibrate/memory_plan.h"
#include "laconic/calibrate/segment_work.h"
#include "laconic/calibrate/segments.h"
#include "laconic/calibrate/shared_work.h"
#include "laconic/calibrate/statistics_store.h"
#include "laconic/calibrate/waiting_statistics.h"
#include "laconic/quant/quantizer/on_device.h"
#include "laconic/quant/quantizer/running.h"

namespace laconic {
namespace {

/// One run of the engine.
class Engine {
 public:
  Engine(const LanguageModel& model, const std::vector<LayerPlan>& plans,
         const SolveFunction& solve, NativeWriter& writer, const EngineOptions& options)
      : model_(model),
        solve_(solve),
        writer_(writer),
        options_(options),
        runs_float_(options.quantized_inputs && std::any_of(plans.begin(), plans.end(),
                                                            [](const LayerPlan& plan) {
                                                              return plan.needs_mismatch ||
                                                                     plan.is_joint;
                                                            })),
        graph_(plan_segments(model, plans, options.quantized_inputs)),
        float_graph_(runs_float_ ? plan_segments(model, plans, false) : EngineGraph{}),
        runner_(graph_.graph),
        float_runner_(runs_float_ ? float_graph_.graph : graph_.graph),
        kept_(model),
        shards_(engine_shard_count(model)),
        done_(finished_shards(writer, shards_, options.processes)) {}

  EngineReport run(const at::Tensor& windows);

 private:
  void plan(const at::Tensor& windows, size_t run);
  void start(const at::Tensor& given);
  bool is_done(const Segment& segment) const {
    return done_.at(static_cast<size_t>(segment.shard));
  }
  bool writes() const { return options_.processes == nullptr || options_.processes->leads(); }
  size_t segments_to_run() const;
  int64_t steps(int64_t windows, size_t run) const;
  void work(const Segment& segment, bool is_run, bool goes_on, Progress& progress);
  LayerStatistics statistics(const LayerGroup& group, SegmentWork& work, Progress& progress);
  void solve_joint(const Segment& segment, SegmentWork& work, Progress& progress);
  std::vector<BlockTask::Layer> joint_layers(const Segment& segment, SegmentWork& work,
                                             Progress& progress,
                                             std::vector<const LayerTask*>& tasks);
  BlockLoss::Passage float_passage(const Segment& segment, const SegmentWork& work,
                                   Progress& progress);
  QuantParameters input_parameters(const LayerGroup& group, const SegmentWork& work,
                                   Progress& progress);
  LayerStatistics hessian(const LayerGroup& group, const SegmentWork& work, Progress& progress);
  LayerStatistics stored_statistics(const LayerGroup& group);
  const LayerGroup& float_group(const LayerGroup& group) const;
  graph::NodeId float_end(const Segment& segment) const;
  RunWeights run_weights() const;
  void write_block(const Segment& segment, SegmentWork& work);
  void write_rest();

  const LanguageModel& model_;
  const SolveFunction& solve_;
  NativeWriter& writer_;
  const EngineOptions& options_;
  bool runs_float_;  ///< the float network beside the quantized one
  EngineGraph graph_, float_graph_;
  graph::Runner runner_, float_runner_;
  KeptTensors kept_;
  int shards_;
  std::vector<bool> done_;            ///< which shards were there at the start
  std::shared_ptr<DiskMemory> disk_;  ///< of the activations; null: they are in main memory
  WaitingStatistics waiting_;
  std::unique_ptr<Activations> activations_, float_activations_;
  std::set<std::string> placed_;  ///< checkpoint names that are in a shard of a block, or solved
  NamedTensors solved_outside_;   ///< layers outside of blocks, for the last shard
  std::vector<LayerReport> reports_outside_;
  EngineReport report_;
  at::Tensor windows_;  ///< of the calibration that this process runs, on the device
  Share share_;         ///< which these are of all
  int64_t window_count_ = 0, tokens_ = 0;  ///< of all
};

/// Segments [0, n) go through the network; those behind need no statistics.
size_t Engine::segments_to_run() const {
  size_t count = 0;
  if (options_.statistics != nullptr) return count;
  for (size_t i = 0; i < graph_.segments.size(); ++i) {
    const Segment& segment = graph_.segments[i];
    if (segment.visits() > 0 && !is_done(segment)) count = i + 1;
  }
  return count;
}

int64_t Engine::steps(int64_t windows, size_t run) const {
  int64_t passes = 0;
  for (size_t i = 0; i < run; ++i) {
    const Segment& segment = graph_.segments[i];
    if (!is_done(segment)) passes += segment.visits();
    const bool goes_on = i + 1 < run, is_joint = segment.has_joint() && !is_done(segment);
    if (goes_on || is_joint) passes += runs_float_ ? 1 : 0;
    if (goes_on) ++passes;
  }
  return passes * windows;
}

LayerStatistics Engine::stored_statistics(const LayerGroup& group) {
  if (!group.needs_hessian && group.static_input() == nullptr) return {};
  const Stopwatch watch;
  LayerStatistics found = options_.statistics->layer(
      group.tasks.front().layer.name, group.needs_hessian, group.static_input(), options_.device);
  report_.calibrate_seconds += watch.seconds();
  return found;
}

LayerStatistics Engine::statistics(const LayerGroup& group, SegmentWork& work, Progress& progress) {
  if (options_.statistics != nullptr) return stored_statistics(group);
  std::optional<QuantParameters> input;
  if (group.static_input() != nullptr) {
    input = input_parameters(group, work, progress);
    work.put_input(group, *input);
  }
  LayerStatistics found;
  if (group.needs_hessian) found = hessian(group, work, progress);
  found.input = std::move(input);
  return found;
}

QuantParameters Engine::input_parameters(const LayerGroup& group, const SegmentWork& work,
                                         Progress& progress) {
  const Stopwatch watch;
  const graph::LinearLayer& layer = group.tasks.front().layer;
  // Before the group's own quantizer, which has no numbers yet.
  const bool is_placed = graph_.graph.at(group.input.node).kind == graph::NodeKind::kQuantize;
  const graph::NodeId stop = is_placed ? group.input.node : group.stop;
  RunningRange range(*group.static_input());
  try {
    activations_->visit(stop, layer.input, work.parameters(), progress, [&](const at::Tensor& x) {
      // Window by window: the batch is no part of the result.
      for (int64_t i = 0; i < x.size(0); ++i) range.add(x.narrow(0, i, 1));
    });
    if (options_.processes != nullptr) range = shared_range(*options_.processes, range);
    const QuantParameters parameters = on_device(range.parameters(), options_.device);
    report_.calibrate_seconds += watch.seconds();
    return parameters;
  } catch (const c10::ValueError& error) {
    TORCH_CHECK_VALUE(false, "[engine] layer ", layer.name,
                      ": its input on the calibration data: ", error.what_without_backtrace());
  }
}

RunWeights Engine::run_weights() const {
  if (!options_.quantized_inputs) return RunWeights::kFloat;
  return runs_float_ ? RunWeights::kBoth : RunWeights::kQuantized;
}

/// The same layers in the graph of the float network.
const LayerGroup& Engine::float_group(const LayerGroup& group) const {
  const std::string& name = group.tasks.front().layer.name;
  for (const Segment& segment : float_graph_.segments) {
    for (const LayerGroup& other : segment.groups) {
      if (other.tasks.front().layer.name == name) return other;
    }
  }
  LACONIC_ASSERT(false, "layer ", name, " is not in the float graph.");
}

graph::NodeId Engine::float_end(const Segment& segment) const {
  return float_graph_.segments.at(static_cast<size_t>(&segment - graph_.segments.data())).end;
}

LayerStatistics Engine::hessian(const LayerGroup& group, const SegmentWork& work,
                                Progress& progress) {
  const Stopwatch watch;
  InputMoments moments;
  if (runs_float_ && group.needs_mismatch) {
    const LayerGroup& other = float_group(group);
    Activations::visit_both(
        {*activations_, group.stop, group.input, work.parameters()},
        {*float_activations_, other.stop, other.input, work.float_parameters()}, progress,
        [&](const at::Tensor& x, const at::Tensor& float_x) { moments.add(x, float_x); });
  } else {
    activations_->visit(group.stop, group.input, work.parameters(), progress,
                        [&](const at::Tensor& x) { moments.add(x); });
  }
  if (options_.processes != nullptr) moments.combine(*options_.processes);
  LayerStatistics statistics = moments.mean(group.tasks.front().layer.name, tokens_);
  report_.calibrate_seconds += watch.seconds();
  return statistics;
}

/// The joint layers of a block with the statistics of their inputs; `tasks` gets whose they are.
std::vector<BlockTask::Layer> Engine::joint_layers(const Segment& segment, SegmentWork& work,
                                                   Progress& progress,
                                                   std::vector<const LayerTask*>& tasks) {
  std::vector<BlockTask::Layer> layers;
  for (const LayerGroup& group : segment.groups) {
    if (!group.has_joint()) continue;
    const LayerStatistics found = waiting_.put_away(statistics(group, work, progress));
    for (const LayerTask& task : group.tasks) {
      if (!task.plan->is_joint) continue;
      layers.push_back({task.plan, work.float_weight(task), found});
      tasks.push_back(&task);
    }
  }
  return layers;
}

/// What leaves the block in the float network.
BlockLoss::Passage Engine::float_passage(const Segment& segment, const SegmentWork& work,
                                         Progress& progress) {
  const size_t i = static_cast<size_t>(&segment - graph_.segments.data());
  const Segment& same = runs_float_ ? float_graph_.segments.at(i) : segment;
  Activations& activations = runs_float_ ? *float_activations_ : *activations_;
  const auto& parameters = runs_float_ ? work.float_parameters() : work.parameters();
  activations.advance(same.end, parameters, progress);
  return {&float_runner_, same.begin, same.end, &activations};
}

void Engine::solve_joint(const Segment& segment, SegmentWork& work, Progress& progress) {
  // A copy runs ahead: what enters the block is needed until it is solved.
  std::unique_ptr<Activations> entering = std::move(activations_);
  activations_ = std::make_unique<Activations>(entering->copy());
  std::vector<const LayerTask*> tasks;
  BlockTask block{segment.name, joint_layers(segment, work, progress, tasks), window_count_, {}};
  const auto target = float_passage(segment, work, progress);
  std::vector<at::Tensor> weights;
  if (std::any_of(tasks.begin(), tasks.end(), [](auto* task) { return task->plan->has_fisher; }))
    weights = fisher_weights(target, *model_.parameters, windows_, report_.memory.batch,
                             options_.processes);
  block.loss = BlockLoss({&runner_, segment.begin, segment.end, entering.get()}, target,
                         work.parameters(), tasks, std::move(weights));
  if (options_.processes != nullptr)
    block.loss = shared_loss(*options_.processes, share_, std::move(block.loss));
  const Stopwatch watch;
  std::vector<SolvedLayer> solved = options_.solve_block(block);
  if (options_.processes != nullptr)
    for (SolvedLayer& layer : solved)
      layer = shared_layer(*options_.processes, layer, 0, options_.device);
  LACONIC_ASSERT(solved.size() == tasks.size(), "solved ", solved.size(), " layers of ",
                 tasks.size());
  const double seconds = watch.seconds() / static_cast<double>(tasks.size());
  for (size_t i = 0; i < tasks.size(); ++i) {
    const BlockTask::Layer& layer = block.layers[i];
    work.finish({*tasks[i], layer.weight, waiting_.bring(layer.statistics), solved[i], seconds});
    waiting_.drop(layer.statistics);
  }
  report_.solve_seconds += watch.seconds();
  activations_ = std::move(entering);
}

void Engine::write_block(const Segment& segment, SegmentWork& work) {
  if (!writes()) return;
  const Stopwatch watch;
  NamedTensors tensors = work.take_solved();
  for (const std::string& name : work.parameter_names()) {
    if (kept_.has(name) && placed_.insert(name).second) kept_.add(name, tensors);
  }
  // The shard last: a killed run has both or writes both again.
  write_journal(writer_.working_directory(), segment.shard, work.reports());
  writer_.write_shard(segment.shard, tensors);
  for (const auto& [name, tensor] : tensors) kept_.drop(name);
  report_.write_seconds += watch.seconds();
}

void Engine::write_rest() {
  const int last = shards_ - 1;
  if (!writes() || done_.back()) return;
  const Stopwatch watch;
  NamedTensors tensors = std::move(solved_outside_);
  for (const std::string& name : kept_.names()) {
    if (!placed_.contains(name)) kept_.add(name, tensors);
  }
  write_journal(writer_.working_directory(), last, reports_outside_);
  writer_.write_shard(last, tensors, [&](const std::string& name) { kept_.drop(name); });
  kept_.drop_all();
  report_.write_seconds += watch.seconds();
}

/// @param is_run   the windows come through this segment.
/// @param goes_on  and leave it, for a segment behind it.
void Engine::work(const Segment& segment, bool is_run, bool goes_on, Progress& progress) {
  SegmentWork work(model_, graph_, segment, run_weights());
  if (!writes()) work.drop_solved();
  const Stopwatch loading;
  if (is_run) work.load();
  report_.load_seconds += loading.seconds();
  if (is_run) activations_->begin_block();
  if (is_run && runs_float_) float_activations_->begin_block();
  const bool done = is_done(segment);
  if (done && goes_on) {
    const auto path = shard_path(writer_.working_directory(), segment.shard, shards_);
    work.restore(*SafetensorsFile::open(path));
  }
  if (!done && segment.has_joint()) solve_joint(segment, work, progress);
  for (const LayerGroup& group : segment.groups) {
    if (done || !group.has_single()) continue;
    work.solve(group, statistics(group, work, progress), solve_, report_, options_.processes);
  }
  for (const LayerGroup& group : segment.groups) {
    for (const LayerTask& task : group.tasks) {
      placed_.insert(task.layer.weight_name);
      for (const std::string& tied : task.plan->tied) placed_.insert(tied + ".weight");
      if (!task.bias_name.empty()) placed_.insert(task.bias_name);
    }
  }
  if (goes_on) {
    const Stopwatch watch;
    activations_->advance(segment.end, work.parameters(), progress);
    if (runs_float_ && !float_activations_->is_at(float_end(segment))) {
      float_activations_->advance(float_end(segment), work.float_parameters(), progress);
    }
    report_.calibrate_seconds += watch.seconds();
  }
  const auto reports =
      done ? read_journal(writer_.working_directory(), segment.shard) : work.reports();
  if (segment.is_block) {
    if (!done) write_block(segment, work);
    for (const std::string& name : work.parameter_names()) placed_.insert(name);
  } else if (!done) {
    for (auto& tensor : work.take_solved()) solved_outside_.push_back(std::move(tensor));
    reports_outside_.insert(reports_outside_.end(), reports.begin(), reports.end());
  }
  for (const LayerReport& report : reports)
    if (segment.has(report.name)) report_.layers.push_back(report);
}

void Engine::start(const at::Tensor& given) {
  tokens_ = given.numel();
  window_count_ = given.size(0);
  const at::Tensor windows = windows_ =
      given.narrow(0, share_.begin, share_.count()).to(options_.device);
  const MemoryReport& plan = report_.memory;
  const auto disk_if = [&](KeptIn place) {
    return place == KeptIn::kDisk ? std::make_shared<DiskMemory>(writer_.working_directory())
                                  : nullptr;
  };
  disk_ = disk_if(plan.carried);
  waiting_ = {options_.device, plan.hessians, disk_if(plan.hessians)};
  const ActivationPlace place{plan.carried != KeptIn::kDevice, disk_};
  activations_ = std::make_unique<Activations>(runner_, windows, plan.batch, place);
  if (runs_float_)
    float_activations_ = std::make_unique<Activations>(float_runner_, windows, plan.batch, place);
}

void Engine::plan(const at::Tensor& windows, size_t run) {
  PlannedWork work{model_, graph_, runs_float_, run};
  if (run > 0) work.windows = share_.count(), work.length = windows.size(1);
  report_.memory = plan_memory(work, options_, resident_bytes());
  if (options_.host_memory > 0) return_freed_memory_at_once();
  obey_device_limit(options_);
}

EngineReport Engine::run(const at::Tensor& windows) {
  const Stopwatch watch;
  const size_t run = segments_to_run();
  if (run > 0) share_ = own_windows(windows.size(0), options_.processes);
  plan(windows, run);
  if (run > 0) start(windows);
  const int64_t total =
      run > 0 ? steps(share_.count(), run) : static_cast<int64_t>(graph_.segments.size());
  Progress progress(run > 0 ? "calibrate" : "quantize", total, options_.progress);
  int64_t blocks = 0;
  for (size_t i = 0; i < graph_.segments.size(); ++i) {
    const Segment& segment = graph_.segments[i];
    check_interrupt();
    work(segment, i < run, i + 1 < run, progress);
    if (i + 1 >= run) activations_.reset(), float_activations_.reset();
    trim_heap();
    if (run == 0) progress.advance(1, segment.name);
    if (segment.is_block && ++blocks == options_.stop_after_blocks) throw Interrupted();
  }
  // Until all have read what they need of the working directory.
  if (options_.processes != nullptr) gather_text(*options_.processes, "done");
  write_rest();
  report_.total_seconds = watch.seconds();
  report_.peak_bytes = peak_resident_bytes();
  if (disk_ != nullptr) report_.memory.spilled_bytes = disk_->peak_bytes();
  report_.memory.spilled_hessian_bytes = waiting_.peak_disk_bytes();
  note_device_peak(options_, report_.memory);
  return std::move(report_);
}

}  // namespace

bool LayerPlan::has_static_input() const {
  return input && std::holds_alternative<StaticScale>(input->scale);
}

int engine_shard_count(const LanguageModel& model) {
  return static_cast<int>(model.blocks.size()) + 1;
}

EngineReport run_engine(const LanguageModel& model, const std::vector<LayerPlan>& plans,
                        const at::Tensor& windows, const SolveFunction& solve, NativeWriter& writer,
                        const EngineOptions& options) {
  // Not InferenceMode: a block solver records gradients of what is made here.
  const at::NoGradGuard no_gradients;
  const bool needs_windows = std::any_of(plans.begin(), plans.end(), [](const LayerPlan& plan) {
    return plan.needs_hessian || plan.has_static_input();
  });
  if (options.statistics != nullptr) {
    options.statistics->check_serves(model, plans);
    LACONIC_ASSERT(!needs_windows || !options.quantized_inputs, "they are of the float network.");
  } else if (needs_windows) {
    check_windows(model, windows);
  }
  TORCH_CHECK_VALUE(!std::filesystem::exists(model.directory / "laconic.json"), "[engine] ",
                    model.directory.string(), " is quantized already. Start from the float model.");
  Engine engine(model, plans, solve, writer, options);
  check_own_weights(model, plans);
  return engine.run(windows);
}

}  // namespace laconic
