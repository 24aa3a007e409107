#include "laconic/calibrate/memory_plan.h"

#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "laconic/base/text.h"

namespace laconic {
namespace {

constexpr int64_t kFloat = 4;  // bytes
/// LibTorch's code and tables that come into memory with the first products, and what the heap
/// leaves unused.
constexpr int64_t kProgram = int64_t{96} << 20;
/// What the activations may take twice (activations.cpp).
constexpr int64_t kKeptTwice = int64_t{256} << 20;
/// Float matrices [in, in] that solving holds: the Hessian and a factor in double precision; with
/// the mismatch three moments, that factor, and four more.
constexpr int64_t kHessianMatrices = 3, kMismatchMatrices = 9;
/// The same while the statistics are gathered: sum and mean; with the mismatch three of each, but
/// for the two sums that are gone when the last mean is made.
constexpr int64_t kHessianSums = 2, kMismatchSums = 4;
/// Float matrices [out, in] that a solver and the report of a layer hold beside the block's.
constexpr int64_t kWeightsSolving = 5, kWeightsLearning = 8;
/// Rows that wait for others (input_moments.cpp), and as many packed.
constexpr int64_t kRowsWaiting = 1024;
/// Windows that a solver of whole blocks runs at once, and how much more than forwards alone it
/// keeps for the way back.
constexpr int64_t kLearningWindows = 8, kLearningTimes = 3;
/// Layers of one shape whose outputs are alive together: more than these are experts, which see
/// few tokens each.
constexpr int64_t kAlikeAlive = 4;

struct Shape {
  int64_t out = 0, in = 0;
  int64_t weight() const { return out * in * kFloat; }
  int64_t matrix() const { return in * in * kFloat; }
};

int64_t numel(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

/// One segment's needs, bytes.
struct Needs {
  std::string largest;     ///< the layer that decides
  int64_t weights = 0;     ///< all parameters, and what was solved so far
  int64_t solving = 0;     ///< the most that statistics and solver of one input take
  int64_t per_window = 0;  ///< while a window runs through
  int64_t entering = 0;    ///< a window's values between two segments
  int64_t widest = 0;      ///< elements a token
  int64_t fixed() const { return weights + solving; }
};

class Planner {
 public:
  Planner(const PlannedWork& work, const EngineOptions& options) : work_(work), options_(options) {
    const auto& segments = work_.graph.segments;
    int64_t kept = 0;  // solved outside of blocks, for the last shard
    for (size_t i = 0; i < segments.size(); ++i) {
      needs_.push_back(needs_of(segments[i], /*is_run=*/i < work_.run));
      needs_.back().weights += kept;
      if (!segments[i].is_block) kept += solved_bytes(segments[i]);
    }
    needs_.push_back({.largest = "embeddings and norms", .weights = rest_bytes() + kept});
  }

  /// Bytes of the segment that needs the most.
  int64_t peak(int64_t batch, bool on_disk) const {
    int64_t most = 0;
    for (const Needs& needs : needs_) most = std::max(most, total(needs, batch, on_disk));
    return most + kProgram;
  }
  const Needs& largest(int64_t batch) const {
    return *std::max_element(needs_.begin(), needs_.end(), [&](const Needs& a, const Needs& b) {
      return total(a, batch, true) < total(b, batch, true);
    });
  }

 private:
  Needs needs_of(const Segment& segment, bool is_run) const;
  int64_t parameter_bytes(const Segment& segment) const;
  int64_t solved_bytes(const Segment& segment) const;
  int64_t rest_bytes() const;
  int64_t token_bytes(const Segment& segment) const;
  int64_t score_bytes(const Segment& segment) const;
  int64_t total(const Needs& needs, int64_t batch, bool on_disk) const;
  Shape shape_of(const LayerTask& task) const {
    const auto shape = work_.model.parameters->describe(task.layer.weight_name).shape;
    return task.layer.transposed ? Shape{shape.at(1), shape.at(0)}
                                 : Shape{shape.at(0), shape.at(1)};
  }

  const PlannedWork& work_;
  const EngineOptions& options_;
  std::vector<Needs> needs_;
};

int64_t Planner::parameter_bytes(const Segment& segment) const {
  const graph::Graph& graph = work_.graph.graph;
  std::set<std::string> names;
  int64_t all = 0, largest = 0;
  for (graph::NodeId id = segment.begin; id < segment.end; ++id) {
    if (graph.at(id).target == "aten::embedding") continue;
    graph::for_each_value(graph.at(id), [&](const graph::Value& value) {
      const graph::Node& node = graph.at(value.node);
      const bool is_new = node.kind == graph::NodeKind::kParameter &&
                          work_.model.parameters->has(node.target) &&
                          names.insert(node.target).second;
      if (!is_new) return;
      const auto description = work_.model.parameters->describe(node.target);
      const int64_t bytes = numel(description.shape) * kFloat;
      all += bytes;
      // A changed one is computed from others of its size.
      const bool is_changed = work_.model.changed.contains(node.target);
      largest = std::max(largest, is_changed ? 3 * bytes : bytes);
    });
  }
  return all + largest;
}

/// Codes and scales.
int64_t Planner::solved_bytes(const Segment& segment) const {
  int64_t bytes = 0;
  if (!work_.solves) return bytes;
  for (const LayerGroup& group : segment.groups)
    for (const LayerTask& task : group.tasks) {
      const int64_t bits = stored_bits(task.plan->weight.format);
      bytes += shape_of(task).weight() / kFloat * (bits + 4) / 8;
    }
  return bytes;
}

/// Of one token, while it goes through the segment: the inputs and outputs of its layers.
int64_t Planner::token_bytes(const Segment& segment) const {
  std::map<std::pair<int64_t, int64_t>, int64_t> alike;
  for (const LayerGroup& group : segment.groups)
    for (const LayerTask& task : group.tasks) {
      const Shape shape = shape_of(task);
      ++alike[{task.layer.is_embedding ? 0 : shape.out, shape.in}];
    }
  int64_t elements = 0;
  for (const auto& [shape, count] : alike)
    elements += (shape.first + shape.second) * std::min(count, kAlikeAlive);
  return elements * kFloat;
}

/// Of one window, where the scores of an attention are a tensor of their own.
int64_t Planner::score_bytes(const Segment& segment) const {
  const graph::Graph& graph = work_.graph.graph;
  const auto& config = work_.model.config;
  const char* const key = config.contains("n_head") ? "n_head" : "num_attention_heads";
  const bool is_known = config.contains(key) && config[key].is_number_integer();
  const int64_t heads = is_known ? config[key].get<int64_t>() : 64;
  for (graph::NodeId id = segment.begin; id < segment.end; ++id) {
    const graph::Node& node = graph.at(id);
    const bool recent = node.target == "laconic::attention_recent";
    bool capped = false;
    if (node.target == "laconic::attention" && node.arguments.size() > 5) {
      const auto* cap = std::get_if<c10::IValue>(&node.arguments[5].data);
      capped = cap != nullptr && !cap->isNone();
    }
    if (recent || capped) return 4 * heads * work_.length * work_.length * kFloat;
  }
  return 0;
}

/// What transforms changed outside of the blocks, written at the end.
int64_t Planner::rest_bytes() const {
  std::set<std::string> inside;
  const graph::Graph& graph = work_.graph.graph;
  for (const Segment& segment : work_.graph.segments) {
    for (graph::NodeId id = segment.begin; segment.is_block && id < segment.end; ++id)
      graph::for_each_value(graph.at(id), [&](const graph::Value& value) {
        inside.insert(graph.at(value.node).target);
      });
  }
  int64_t stored = 0, largest = 0;
  for (const std::string& name : work_.model.changed) {
    if (inside.contains(name)) continue;
    const auto description = work_.model.parameters->describe(name);
    const int64_t elements = numel(description.shape);
    stored += elements * static_cast<int64_t>(c10::elementSize(description.dtype));
    largest = std::max(largest, 3 * elements * kFloat);
  }
  return stored + largest;
}

Needs Planner::needs_of(const Segment& segment, bool is_run) const {
  Needs needs;
  if (is_run) needs.weights = parameter_bytes(segment);
  needs.weights += solved_bytes(segment);
  int64_t joint = 0, most = -1;
  for (const LayerGroup& group : segment.groups) {
    const bool both = group.needs_mismatch && work_.runs_float;
    const bool learns = group.has_joint();
    int64_t weight = 0, elements = 0;
    Shape shape;
    for (const LayerTask& task : group.tasks) {
      shape = shape_of(task);
      weight = std::max(weight, shape.weight());
      elements += shape.weight() / kFloat;
      // Both of the two networks' weights; of an embedding the quantized table.
      if (is_run && (work_.runs_float || task.layer.is_embedding)) needs.weights += shape.weight();
    }
    int64_t bytes = work_.solves ? kWeightsSolving * weight : 0;
    if (group.needs_hessian) {
      const int64_t solving =
          work_.solves ? (both ? kMismatchMatrices : kHessianMatrices) * shape.matrix() : 0;
      const int64_t gathering = (both ? kMismatchSums : kHessianSums) * shape.matrix() +
                                (both ? 3 : 1) * kRowsWaiting * shape.in * kFloat;
      bytes = std::max(gathering, bytes + solving);
    }
    if (learns) joint += kWeightsLearning * elements * kFloat + shape.matrix();
    if (bytes > most) needs.largest = group.tasks.front().layer.name;
    most = std::max(most, bytes);
    if (is_run) needs.widest = std::max(needs.widest, shape.in);
    if (is_run && needs.entering == 0) needs.entering = 3 * shape.in * kFloat * work_.length;
  }
  needs.solving = std::max<int64_t>(most, 0) + joint;
  if (is_run) needs.per_window = token_bytes(segment) * work_.length + score_bytes(segment);
  if (joint > 0) needs.solving += kLearningTimes * kLearningWindows * needs.per_window;
  if (needs.largest.empty()) needs.largest = segment.name;
  return needs;
}

int64_t Planner::total(const Needs& needs, int64_t batch, bool on_disk) const {
  const int64_t networks = work_.runs_float ? 2 : 1;
  // Of two networks only one runs at a time; of the other the input that is looked at is there.
  const int64_t passing =
      batch * (needs.per_window + (networks - 1) * needs.widest * work_.length * kFloat);
  if (on_disk) return needs.fixed() + passing;
  const int64_t entering = needs.entering * work_.windows;
  const int64_t kept = std::max(
      2 * entering, std::min(kKeptTwice, needs.widest * work_.length * work_.windows * kFloat));
  return needs.fixed() + passing + networks * (entering + kept);
}

}  // namespace

MemoryReport plan_memory(const PlannedWork& work, const EngineOptions& options, uint64_t resident) {
  MemoryReport report{.limit = options.host_memory, .batch = std::max<int64_t>(options.batch, 1)};
  const Planner planner(work, options);
  const auto estimate = [&](int64_t batch, bool on_disk) {
    return resident + static_cast<uint64_t>(planner.peak(batch, on_disk));
  };
  report.planned_bytes = estimate(report.batch, false);
  if (report.limit == 0 || report.planned_bytes <= report.limit) return report;
  const int64_t asked = report.batch;
  for (const bool on_disk : {false, true}) {
    for (report.batch = asked; report.batch > 0; report.batch /= 2) {
      report.on_disk = on_disk && options.device.is_cpu();  // else they are on the device
      report.planned_bytes = estimate(report.batch, on_disk);
      if (report.planned_bytes <= report.limit) return report;
    }
  }
  const uint64_t needed = estimate(1, true);
  TORCH_CHECK_VALUE(
      false, "[engine] --host-memory ", readable_bytes(report.limit), " is too little: layer ",
      planner.largest(1).largest, " needs up to ", readable_bytes(needed), " (", needed,
      " bytes; the program itself ", readable_bytes(resident + static_cast<uint64_t>(kProgram)),
      ", weights of its block ", readable_bytes(static_cast<uint64_t>(planner.largest(1).weights)),
      ", its Hessian and solver ",
      readable_bytes(static_cast<uint64_t>(planner.largest(1).solving)),
      "), one window at a time and activations on disk. Allow that much, or choose shorter windows "
      "(calibration.length), a solver that needs no Hessian (nearest), or leave the layer out "
      "(skip: true).");
}

std::string describe_memory(const MemoryReport& report) {
  if (!report.on_disk) return "";
  return "  " + readable_bytes(report.spilled_bytes) +
         " of activations were on disk, to stay under " + readable_bytes(report.limit) + "\n";
}

nlohmann::json to_json(const MemoryReport& report) {
  return {{"limit", report.limit},           {"planned", report.planned_bytes},
          {"batch", report.batch},           {"activations", report.on_disk ? "disk" : "memory"},
          {"spilled", report.spilled_bytes}, {"notes", report.notes}};
}

}  // namespace laconic
