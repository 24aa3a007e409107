#include "laconic/calibrate/segment_needs.h"

#include <c10/core/ScalarType.h>

#include <algorithm>
#include <map>
#include <set>

namespace laconic {
namespace {

constexpr int64_t kFloat = 4;  // bytes
/// What the activations may take twice (activations.cpp).
constexpr int64_t kKeptTwice = int64_t{256} << 20;
/// Rows that wait for others (input_moments.cpp), and as many packed.
constexpr int64_t kRowsWaiting = 1024;
/// Windows that a solver of whole blocks runs at once, and how much more than forwards alone it
/// keeps for the way back.
constexpr int64_t kLearningWindows = 8, kLearningTimes = 3;
/// Layers of one shape whose outputs are alive together: more than these are experts, which see
/// few tokens each.
constexpr int64_t kAlikeAlive = 4;

/// How many matrices are there at one time.
struct Copies {
  /// Float matrices [in, in] while a layer is solved, and with the mismatch.
  int64_t hessian, mismatch;
  /// The same while the statistics are gathered.
  int64_t hessian_sums, mismatch_sums;
  /// Float matrices [out, in] that a solver and the report of a layer hold beside the block's, and
  /// of a solver of whole blocks.
  int64_t solving, learning;
};
/// The Hessian and a factor in double precision; with the mismatch three moments, that factor, and
/// four more. Sum and mean; with the mismatch three of each, but for the two sums that are gone
/// when the last mean is made.
constexpr Copies kMainCopies{3, 9, 2, 4, 5, 8};
/// There the ordered matrix, its factor and the factor's panels are whole ones, in double precision
/// where single does not do; with the mismatch the feedback is made at once, in double precision. A
/// mean takes five (kernel/gram.cpp).
constexpr Copies kDeviceCopies{8, 14, 5, 7, 8, 10};

/// Hessian, mismatch and what was lost (LayerStatistics).
constexpr int64_t kMoments = 3;

struct Shape {
  int64_t out = 0, in = 0;
  int64_t weight() const { return out * in * kFloat; }
  int64_t matrix() const { return in * in * kFloat; }
};

int64_t elements_of(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

/// Reads the needs off the shapes of one memory.
class Estimate {
 public:
  Estimate(const PlannedWork& work, Memory memory)
      : work_(work),
        on_device_(memory == Memory::kDevice),
        copies_(on_device_ ? kDeviceCopies : kMainCopies) {}

  SegmentNeeds of(const Segment& segment, bool is_run) const;
  int64_t solved_bytes(const Segment& segment) const;
  int64_t rest_bytes() const;

 private:
  graph::NodeId end_of(const Segment& segment) const;
  int64_t parameter_bytes(const Segment& segment) const;
  int64_t token_bytes(const Segment& segment) const;
  int64_t score_bytes(const Segment& segment) const;
  int64_t look_bytes(const LayerGroup& group, const Shape& shape) const;
  int64_t group_bytes(const LayerGroup& group, int64_t weight, const Shape& shape) const;
  Shape shape_of(const LayerTask& task) const {
    const auto shape = work_.model.parameters->describe(task.layer.weight_name).shape;
    return task.layer.transposed ? Shape{shape.at(1), shape.at(0)}
                                 : Shape{shape.at(0), shape.at(1)};
  }
  bool has_both(const LayerGroup& group) const { return group.needs_mismatch && work_.runs_float; }

  const PlannedWork& work_;
  bool on_device_;
  const Copies& copies_;
};

/// What is only looked at ends before the last of the layers.
graph::NodeId Estimate::end_of(const Segment& segment) const {
  const bool is_last = segment.end == work_.graph.graph.size();
  const bool is_cut = is_last && !work_.holds_blocks && !segment.groups.empty();
  return is_cut ? segment.groups.back().stop : segment.end;
}

int64_t Estimate::parameter_bytes(const Segment& segment) const {
  const graph::Graph& graph = work_.graph.graph;
  std::set<std::string> names;
  int64_t all = 0, largest = 0, plain = 0;
  for (graph::NodeId id = segment.begin; id < end_of(segment); ++id) {
    if (graph.at(id).target == "aten::embedding") continue;
    graph::for_each_value(graph.at(id), [&](const graph::Value& value) {
      const graph::Node& node = graph.at(value.node);
      const bool is_new = node.kind == graph::NodeKind::kParameter &&
                          work_.model.parameters->has(node.target) &&
                          names.insert(node.target).second;
      if (!is_new) return;
      const auto description = work_.model.parameters->describe(node.target);
      const int64_t bytes = elements_of(description.shape) * kFloat;
      all += bytes;
      plain = std::max(plain, bytes);
      // A changed one is computed from others of its size, in main memory.
      const bool is_computed = work_.model.changed.contains(node.target) && !on_device_;
      largest = std::max(largest, is_computed ? 3 * bytes : bytes);
    });
  }
  return (work_.holds_blocks ? all : plain) + largest;
}

/// Codes and scales, which wait in main memory.
int64_t Estimate::solved_bytes(const Segment& segment) const {
  int64_t bytes = 0;
  if (!work_.solves || on_device_) return bytes;
  for (const LayerGroup& group : segment.groups)
    for (const LayerTask& task : group.tasks) {
      const int64_t bits = stored_bits(task.plan->weight.format);
      bytes += shape_of(task).weight() / kFloat * (bits + 4) / 8;
    }
  return bytes;
}

/// Of one token, while it goes through the segment: the inputs and outputs of its layers.
int64_t Estimate::token_bytes(const Segment& segment) const {
  std::map<std::pair<int64_t, int64_t>, int64_t> alike;
  int64_t elements = 0, rows = 0;
  for (const LayerGroup& group : segment.groups)
    for (const LayerTask& task : group.tasks) {
      const Shape shape = shape_of(task);
      const bool is_run = !task.layer.is_embedding && task.layer.node < end_of(segment);
      ++alike[{is_run ? shape.out : 0, shape.in}];
      // On a device no rows wait for others: all of the windows are looked at at once.
      if (on_device_) rows = std::max(rows, shape.in * (has_both(group) ? 3 : 1));
    }
  for (const auto& [shape, count] : alike)
    elements += (shape.first + shape.second) * std::min(count, kAlikeAlive);
  return (elements + rows) * kFloat;
}

/// Of one window, where the scores of an attention are a tensor of their own.
int64_t Estimate::score_bytes(const Segment& segment) const {
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
int64_t Estimate::rest_bytes() const {
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
    const int64_t elements = elements_of(description.shape);
    stored += elements * static_cast<int64_t>(c10::elementSize(description.dtype));
    largest = std::max(largest, 3 * elements * kFloat);
  }
  return stored + largest;
}

/// What looks at the statistics of an input (PlannedWork::other).
int64_t Estimate::look_bytes(const LayerGroup& group, const Shape& shape) const {
  int64_t bytes = 0;
  bool is_seen = false;
  for (const LayerTask& task : group.tasks) {
    const auto look = work_.other.looks.find(task.layer.name);
    if (look == work_.other.looks.end()) continue;
    is_seen = true;
    bytes = std::max(bytes, look->second);
  }
  return is_seen ? bytes + 2 * kRowsWaiting * shape.in * kFloat : 0;
}

/// Statistics and solver of one input, `weight` bytes the largest of its layers.
int64_t Estimate::group_bytes(const LayerGroup& group, int64_t weight, const Shape& shape) const {
  const bool both = has_both(group);
  const int64_t bytes = work_.solves ? copies_.solving * weight : look_bytes(group, shape);
  if (!group.needs_hessian) return bytes;
  int64_t solving = both ? copies_.mismatch : copies_.hessian;
  // For the report alone, or looked at.
  if (!group.has_single() || !work_.solves) solving = both ? kMoments : 1;
  const int64_t rows = on_device_ ? 0 : (both ? 3 : 1) * kRowsWaiting * shape.in * kFloat;
  const int64_t sums = (both ? copies_.mismatch_sums : copies_.hessian_sums) * shape.matrix();
  return std::max(sums + rows, bytes + solving * shape.matrix());
}

SegmentNeeds Estimate::of(const Segment& segment, bool is_run) const {
  SegmentNeeds needs;
  if (is_run) needs.weights = parameter_bytes(segment);
  needs.weights += solved_bytes(segment);
  int64_t joint = 0, most = -1;
  for (const LayerGroup& group : segment.groups) {
    int64_t weight = 0, elements = 0;
    Shape shape;
    for (const LayerTask& task : group.tasks) {
      shape = shape_of(task);
      weight = std::max(weight, shape.weight());
      elements += shape.weight() / kFloat;
      // Both of the two networks' weights; of an embedding the quantized table.
      if (is_run && (work_.runs_float || task.layer.is_embedding)) needs.weights += shape.weight();
    }
    const int64_t bytes = group_bytes(group, weight, shape);
    if (group.has_joint()) {
      joint += copies_.learning * elements * kFloat;
      needs.waiting += (has_both(group) ? kMoments : 1) * shape.matrix();
    }
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

}  // namespace

std::vector<SegmentNeeds> segment_needs(const PlannedWork& work, Memory memory) {
  const Estimate estimate(work, memory);
  const auto& segments = work.graph.segments;
  std::vector<SegmentNeeds> needs;
  int64_t kept = 0;  // solved outside of blocks, for the last shard
  for (size_t i = 0; i < segments.size(); ++i) {
    needs.push_back(estimate.of(segments[i], /*is_run=*/i < work.run));
    needs.back().weights += kept;
    if (!segments[i].is_block) kept += estimate.solved_bytes(segments[i]);
  }
  if (memory == Memory::kMain && work.solves)
    needs.push_back({.largest = "embeddings and norms", .weights = estimate.rest_bytes() + kept});
  needs.insert(needs.end(), work.other.others.begin(), work.other.others.end());
  return needs;
}

int64_t needed_bytes(const PlannedWork& work, const SegmentNeeds& needs, int64_t batch, Held held) {
  const int64_t networks = work.runs_float ? 2 : 1;
  // Of two networks only one runs at a time; of the other the input that is looked at is there.
  const int64_t passing =
      batch * (needs.per_window + (networks - 1) * needs.widest * work.length * kFloat);
  const int64_t fixed = work.other.kept + needs.weights + needs.solving + passing +
                        (held.hessians ? needs.waiting : 0);
  if (!held.carried) return fixed;
  const int64_t entering = needs.entering * work.windows;
  const int64_t kept = std::max(
      2 * entering, std::min(kKeptTwice, needs.widest * work.length * work.windows * kFloat));
  return fixed + networks * (entering + kept);
}

}  // namespace laconic
