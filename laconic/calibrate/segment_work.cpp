#include "laconic/calibrate/segment_work.h"

#include <c10/util/Exception.h>

#include <limits>
#include <set>
#include <variant>

#include "laconic/base/progress.h"
#include "laconic/calibrate/bias_correction.h"
#include "laconic/calibrate/fidelity.h"
#include "laconic/calibrate/shared_work.h"
#include "laconic/load/check_finite.h"
#include "laconic/load/native/stored.h"
#include "laconic/quant/quantizer/on_device.h"

namespace laconic {
namespace {

/// @param looked_up  also those that are the table of an embedding.
std::vector<std::string> parameters_of(const graph::Graph& graph, const Segment& segment,
                                       bool looked_up) {
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (graph::NodeId id = segment.begin; id < segment.end; ++id) {
    if (!looked_up && graph.at(id).target == "aten::embedding") continue;
    const auto add = [&](const graph::Node& node) {
      if (node.kind == graph::NodeKind::kParameter && seen.insert(node.target).second)
        names.push_back(node.target);
    };
    graph::for_each_value(graph.at(id),
                          [&](const graph::Value& value) { add(graph.at(value.node)); });
  }
  return names;
}

}  // namespace

NativeLayer native_layer(const LayerPlan& plan, at::IntArrayRef shape) {
  return {plan.layer.name, plan.layer.weight_name, plan.layer.transposed, plan.weight, plan.input,
          shape.vec(),     plan.layer.is_embedding};
}

SegmentWork::SegmentWork(const LanguageModel& model, const EngineGraph& graph,
                         const Segment& segment, RunWeights weights)
    : model_(model),
      segment_(segment),
      run_(weights),
      names_(parameters_of(graph.graph, segment, /*looked_up=*/true)),
      loaded_(parameters_of(graph.graph, segment, /*looked_up=*/false)),
      weights_(std::make_unique<graph::OverlaidParameters>(*model.parameters,
                                                           std::map<std::string, at::Tensor>())),
      float_(std::make_unique<graph::OverlaidParameters>(*model.parameters,
                                                         std::map<std::string, at::Tensor>())) {}

SegmentWork::~SegmentWork() {
  for (const std::string& name : names_) model_.parameters->release(name);
}

void SegmentWork::load() {
  for (const std::string& name : loaded_) {
    if (!model_.parameters->has(name)) continue;  // of a static input: found here
    const at::Tensor weight = model_.parameters->get(name);
    weights_->set(name, weight);
    if (run_ == RunWeights::kBoth) float_->set(name, weight);
    model_.parameters->release(name);
  }
}

void SegmentWork::put(const LayerTask& task, const at::Tensor& quantized) {
  if (run_ == RunWeights::kFloat) return;
  weights_->set(task.layer.weight_name,
                task.layer.transposed ? quantized.t().contiguous() : quantized);
}

void SegmentWork::put_input(const LayerTask& task, const QuantParameters& parameters) {
  weights_->set(task.layer.name + ".input_scale", parameters.scale);
  if (parameters.zero_point.defined())
    weights_->set(task.layer.name + ".input_zero_point", parameters.zero_point);
}

void SegmentWork::put_input(const LayerGroup& group, const QuantParameters& parameters) {
  for (const LayerTask& task : group.tasks) put_input(task, parameters);
}

at::Tensor SegmentWork::float_weight(const LayerTask& task) const {
  const at::Tensor stored = weights_->get(task.layer.weight_name);
  const at::Tensor weight =
      (task.layer.transposed ? stored.t() : stored).to(at::kFloat).contiguous();
  TORCH_CHECK_VALUE(
      is_finite(weight), "[engine] layer ", task.layer.name, ": its weight ",
      task.layer.weight_name,
      " holds NaN or infinity. Mend the model, or leave this layer out (skip: true).");
  return weight;
}

void SegmentWork::correct_bias(const Finished& layer, const at::Tensor& quantized,
                               LayerReport& report) {
  const auto& [task, weight, statistics, solved, seconds] = layer;
  if (task.bias_name.empty()) {
    report.notes.emplace_back(
        "has no bias of its own: the mean error of its output stays. The transform biases adds "
        "biases.");
    return;
  }
  at::Tensor bias = weights_->get(task.bias_name).to(at::kFloat);
  // Not for an expert with too few tokens, whose notes say so.
  if (statistics.mean.defined())
    bias = bias + lost_mean(task.plan->bias, weight, quantized, statistics);
  if (run_ != RunWeights::kFloat) weights_->set(task.bias_name, bias);
  if (keeps_solved_) solved_.emplace_back(task.bias_name, bias.cpu());
}

void SegmentWork::keep(const Finished& layer) {
  const auto& [task, weight, statistics, solved, seconds] = layer;
  const NativeLayer native = native_layer(*task.plan, weight.sizes());
  std::optional<QuantParameters> input = statistics.input;
  if (input) input = on_device(*input, at::kCPU);
  for (auto& tensor :
       native_tensors(native, solved.codes.cpu(), on_device(solved.parameters, at::kCPU), input))
    solved_.push_back(std::move(tensor));
}

void SegmentWork::finish(const Finished& layer) {
  const auto& [task, weight, statistics, solved, seconds] = layer;
  const at::Tensor quantized =
      dequantize(task.plan->weight, solved.codes, solved.parameters).to(at::kFloat);
  LayerReport report{.name = task.layer.name,
                     .weight_spec = to_string(task.plan->weight),
                     .notes = task.plan->notes};
  report.notes.insert(report.notes.end(), statistics.notes.begin(), statistics.notes.end());
  report.notes.insert(report.notes.end(), solved.notes.begin(), solved.notes.end());
  report.signal_to_noise_db = signal_to_noise_db(weight, quantized);
  report.output_error = statistics.hessian.defined()
                            ? relative_output_error(weight, quantized, statistics.hessian)
                            : std::numeric_limits<double>::quiet_NaN();
  if (statistics.lost.defined())
    report.followed_error = followed_output_error(
        weight, quantized, {statistics.hessian, statistics.mismatch, statistics.lost});
  report.seconds = seconds;
  if (keeps_solved_) keep(layer);
  if (task.plan->bias != BiasCorrection::kNone) correct_bias(layer, quantized, report);
  reports_.push_back(report);
  put(task, quantized);
  model_.parameters->release(task.layer.weight_name);
}

SegmentWork::Solved SegmentWork::solve_own(const LayerTask& task, const LayerStatistics& statistics,
                                           const SolveFunction& solver,
                                           EngineReport& report) const {
  const Stopwatch loading;
  Solved solved;
  solved.weight = float_weight(task);
  report.load_seconds += loading.seconds();
  const Stopwatch solving;
  solved.layer = solver(*task.plan, solved.weight, statistics);
  solved.seconds = solving.seconds();
  return solved;
}

void SegmentWork::solve(const LayerGroup& group, const LayerStatistics& statistics,
                        const SolveFunction& solver, EngineReport& report, Processes* processes) {
  std::vector<const LayerTask*> tasks;
  for (const LayerTask& task : group.tasks)
    if (!task.plan->is_joint) tasks.push_back(&task);
  const int64_t workers = processes == nullptr ? 1 : processes->size();
  const int64_t rank = processes == nullptr ? 0 : processes->rank();
  const auto count = static_cast<int64_t>(tasks.size());
  for (int64_t first = 0; first < count; first += workers) {
    const Stopwatch watch;
    const double loaded = report.load_seconds;
    Solved mine;
    if (first + rank < count)
      mine = solve_own(*tasks[static_cast<size_t>(first + rank)], statistics, solver, report);
    for (int64_t i = 0; i < workers && first + i < count; ++i) {
      const LayerTask& task = *tasks[static_cast<size_t>(first + i)];
      const bool is_mine = i == rank;
      const at::Tensor weight = is_mine ? mine.weight : float_weight(task);
      SolvedLayer solved = is_mine ? std::move(mine.layer) : SolvedLayer();
      if (processes != nullptr) solved = shared_layer(*processes, solved, i, weight.device());
      finish({task, weight, statistics, solved, is_mine ? mine.seconds : watch.seconds()});
    }
    report.solve_seconds += watch.seconds() - (report.load_seconds - loaded);
  }
}

void SegmentWork::restore(const SafetensorsFile& shard) {
  const auto tensor_of = [&](const std::string& name) { return shard.tensor(name).clone(); };
  const std::string where = "[engine] a finished shard: layer ";
  for (const LayerGroup& group : segment_.groups) {
    for (const LayerTask& task : group.tasks) {
      const at::Tensor stored = weights_->get(task.layer.weight_name);
      const NativeLayer layer =
          native_layer(*task.plan, task.layer.transposed ? stored.t().sizes() : stored.sizes());
      const QuantParameters parameters = read_parameters(layer, tensor_of);
      check_parameters(layer, parameters, where + layer.name);
      put(task,
          dequantize(layer.weight, read_codes(layer, tensor_of, where + layer.name), parameters)
              .to(stored.device(), at::kFloat));
      if (!task.bias_name.empty() && run_ != RunWeights::kFloat)
        weights_->set(task.bias_name, shard.tensor(task.bias_name).clone().to(stored.device()));
      if (task.plan->has_static_input())
        put_input(task, on_device(read_input_parameters(layer, tensor_of), stored.device()));
    }
  }
}

}  // namespace laconic
