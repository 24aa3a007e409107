#include "laconic/transform/rotate/rotate.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <set>

#include "laconic/file/json/options.h"
#include "laconic/graph/rewrite.h"
#include "laconic/kernel/hadamard.h"
#include "laconic/transform/options.h"
#include "laconic/transform/rotate/heads.h"
#include "laconic/transform/rotate/learn.h"
#include "laconic/transform/rotate/rotation.h"
#include "laconic/transform/streams.h"

namespace laconic::transform {
namespace {

using graph::LinearLayer;
using graph::NodeId;
using graph::Value;

constexpr const char* kWhere = "transform rotate";
constexpr int64_t kLargestBlock = 1 << 20;

struct RotateOptions {
  std::string residual, heads;
  bool online = false, keys = false;
  int64_t block_size = 0;
  uint64_t seed = 0;
};

/// @param options  with all defaults.
RotateOptions read_rotate(const std::string& where, const nlohmann::json& options) {
  return {word_option(where, options, "residual", kMatrixWords),
          word_option(where, options, "heads", kMatrixWords),
          boolean_option(where, options, "online"),
          boolean_option(where, options, "keys"),
          integer_option(where, options, "block_size", 0, kLargestBlock),
          static_cast<uint64_t>(
              integer_option(where, options, "seed", 0, std::numeric_limits<int64_t>::max()))};
}

RotateOptions read_options(const nlohmann::json& given) {
  return read_rotate(kWhere, with_defaults(kWhere, given, rotate_defaults()));
}

constexpr const char* kSpinWhere = "transform spin";

struct SpinOptions {
  RotateOptions rotate;
  RotationLearning learning;
};

SpinOptions read_spin(const nlohmann::json& given) {
  const auto options = with_defaults(kSpinWhere, given, spin_defaults());
  return {read_rotate(kSpinWhere, options),
          {.steps = integer_option(kSpinWhere, options, "steps", 1, 1 << 20),
           .batch = integer_option(kSpinWhere, options, "batch", 1, 1 << 20),
           .rate = number_option(kSpinWhere, options, "rate", 0, 1e6),
           .quantizes_weights = boolean_option(kSpinWhere, options, "quantized_weights")}};
}

/// A Gaussian matrix, its two factors, and one more on the way.
constexpr int64_t kDrawn = 4;

class Rotator {
 public:
  Rotator(FloatNetwork& network, const RotateOptions& options, TransformReport& report)
      : network_(network), options_(options), report_(report) {}
  /// Finds the regions and draws no matrix.
  void only_plan() { draws_ = false; }

  /// All that the options ask for.
  void run();
  /// The rotations in weights.
  const std::vector<LearnedRegion>& regions() const { return done_; }

 private:
  void rotate_residual();
  void rotate_heads();
  void rotate_online();
  void rotate_keys();

  /// Each region has a matrix of its own, drawn from the seed and its number.
  Rotation draw(const std::string& kind, int64_t size) {
    if (!draws_) return {size, {}, {}};
    std::string note;
    const Rotation rotation =
        make_rotation(kind, size, options_.seed * 1000003 + regions_++, &note);
    if (!note.empty()) report_.fallbacks.push_back(note);
    return rotation;
  }
  /// The size of a run of `width` features.
  int64_t block_of(int64_t width, const std::string& what) {
    if (options_.block_size == 0 || options_.block_size == width) return width;
    if (width % options_.block_size == 0) return options_.block_size;
    report_.fallbacks.push_back(what + ": block_size " + std::to_string(options_.block_size) +
                                " does not divide " + std::to_string(width) +
                                ": rotated as a whole.");
    return width;
  }
  void rotate_stream(const Stream& stream);
  void check_some_stream(const std::vector<Stream>& streams) const;
  std::vector<LinearLayer> orphans();
  void insert_online(const std::map<Value, std::vector<LinearLayer>>& by_input);

  FloatNetwork& network_;
  const RotateOptions& options_;
  TransformReport& report_;
  bool draws_ = true;
  uint64_t regions_ = 0;
  std::set<std::string> rotated_;  ///< weights whose inputs are rotated
  std::vector<LearnedRegion> done_;
};

std::vector<Site> whole_sites(const std::vector<Part>& parts) {
  std::vector<Site> sites;
  for (const Part& part : parts) sites.push_back({part, {}});
  return sites;
}

void Rotator::rotate_stream(const Stream& stream) {
  const int64_t size = block_of(stream.width, "stream of " + stream.sources.front().layer);
  const Rotation rotation = draw(options_.residual, size);
  auto sites = whole_sites(stream.sources);
  for (const Site& site : whole_sites(stream.sinks)) sites.push_back(site);
  rotate_sites(network_, sites, rotation);
  done_.push_back({sites, size});
  for (const Part& part : stream.sinks) rotated_.insert(part.parameter);
  report_.done.push_back("stream of " + std::to_string(stream.width) + " features: " +
                         std::to_string(stream.sources.size()) + " tensors that write and " +
                         std::to_string(stream.sinks.size()) + " layers that read it, " +
                         options_.residual + " in runs of " + std::to_string(size) + ".");
}

/// A rotation that was asked for and goes nowhere is no success.
void Rotator::check_some_stream(const std::vector<Stream>& streams) const {
  const auto largest =
      std::max_element(streams.begin(), streams.end(), [](const Stream& a, const Stream& b) {
        return a.sources.size() + a.sinks.size() < b.sources.size() + b.sinks.size();
      });
  TORCH_CHECK_VALUE(largest != streams.end(), "[transform rotate] residual: the network has no ",
                    "stream that linear layers or embeddings write. Set residual: none.");
  std::string reason = "nothing reads it";
  if (!largest->obstacles.empty())
    reason = graph::describe(network_.graph, largest->obstacles.front().node) + " " +
             largest->obstacles.front().reason;
  else if (!largest->layer_norms.empty())
    reason = graph::describe(network_.graph, largest->layer_norms.front()) +
             " is a layer norm: put fold_norms before";
  TORCH_CHECK_VALUE(false, "[transform rotate] residual: no stream admits a rotation. The largest ",
                    "(written by ", largest->sources.front().layer, " and ",
                    largest->sources.size() - 1, " more): ", reason, ". Or set residual: none.");
}

void Rotator::rotate_residual() {
  const auto streams = find_streams(network_);
  bool some = false;
  for (const Stream& stream : streams) {
    if (!stream.is_rotatable()) continue;
    rotate_stream(stream);
    some = true;
  }
  if (!some) check_some_stream(streams);
}

void Rotator::rotate_heads() {
  size_t count = 0;
  int64_t size = 0;
  for (const HeadRegion& region : find_heads(network_)) {
    if (!region.obstacle.empty()) {
      report_.fallbacks.push_back("values of " + graph::describe(network_.graph, region.attention) +
                                  " stay as they are: " + region.obstacle + ".");
      continue;
    }
    auto sites = region.sources;
    sites.insert(sites.end(), region.sinks.begin(), region.sinks.end());
    rotate_sites(network_, sites, draw(options_.heads, region.size));
    done_.push_back({sites, region.size});
    for (const Site& site : region.sinks) rotated_.insert(site.part.parameter);
    ++count;
    size = region.size;
  }
  if (count > 0)
    report_.done.push_back("values of " + std::to_string(count) + " attentions, head by head: " +
                           options_.heads + " of " + std::to_string(size) + " features.");
}

/// Layers whose input nothing rotated; not the head, whose result is the network's.
std::vector<LinearLayer> Rotator::orphans() {
  const graph::Node& output = network_.graph.at(network_.graph.output());
  const ParameterReaders readers(network_.graph);
  std::vector<LinearLayer> found;
  for (LinearLayer& layer : graph::find_linear_layers(network_.graph)) {
    const auto* result = std::get_if<Value>(&output.arguments.at(0).data);
    const bool is_head = result != nullptr && result->node == layer.node;
    if (is_head || rotated_.contains(layer.weight_name)) continue;
    const int64_t width =
        network_.parameters->describe(layer.weight_name).shape.at(layer.transposed ? 0 : 1);
    if (!readers.has_own_weight(layer)) {
      report_.fallbacks.push_back(layer.name + " stays as it is: it shares its weight.");
    } else if (!kernel::hadamard_order(width)) {
      report_.fallbacks.push_back(layer.name + " stays as it is: no Hadamard matrix of order " +
                                  std::to_string(width) + " is known here.");
    } else {
      found.push_back(std::move(layer));
    }
  }
  return found;
}

void Rotator::rotate_online() {
  std::map<Value, std::vector<LinearLayer>> by_input;
  std::vector<Site> sites;
  const auto layers = orphans();
  for (const LinearLayer& layer : layers) by_input[layer.input].push_back(layer);
  if (layers.empty()) return;
  std::map<int64_t, std::vector<Site>> by_size;
  for (const LinearLayer& layer : layers) {
    const int64_t dim = layer.transposed ? 0 : 1;
    const int64_t width =
        network_.parameters->describe(layer.weight_name).shape.at(static_cast<size_t>(dim));
    by_size[block_of(width, layer.name)].push_back({{layer.weight_name, dim, layer.name}, {}});
  }
  insert_online(by_input);
  for (const auto& [size, own] : by_size) rotate_sites(network_, own, Rotation{size, {}, {}});
  network_.graph_changes.emplace_back("rotate (online)");
  report_.done.push_back(std::to_string(layers.size()) +
                         " layers multiply what a Hadamard transform made of their input.");
}

/// One operator for all layers of an input, before the first of them.
void Rotator::insert_online(const std::map<Value, std::vector<LinearLayer>>& by_input) {
  std::map<NodeId, graph::Insertion> insertions;
  for (const auto& [input, layers] : by_input) {
    const LinearLayer& first = layers.front();
    const int64_t width =
        network_.parameters->describe(first.weight_name).shape.at(first.transposed ? 0 : 1);
    const bool is_whole = options_.block_size == 0 || width % options_.block_size != 0;
    graph::Insertion& insertion = insertions[first.node];
    insertion.nodes.push_back({graph::NodeKind::kCall,
                               "laconic::hadamard",
                               first.name,
                               {input, c10::IValue(is_whole ? width : options_.block_size)}});
    insertion.redirect[0] = Value{-1, 0};
  }
  graph::NodeMap moved;
  network_.graph = graph::insert_before(network_.graph, insertions, &moved);
  for (const auto& [input, layers] : by_input)
    for (const LinearLayer& layer : layers)
      network_.graph.nodes.at(moved[layer.node]).arguments[0] =
          Value{moved[layers.front().node] - 1, 0};
}

void Rotator::rotate_keys() {
  std::map<NodeId, graph::Insertion> insertions;
  for (const auto& [id, size] : find_query_sizes(network_)) {
    if (!kernel::hadamard_order(size)) {
      report_.fallbacks.push_back(graph::describe(network_.graph, id) +
                                  ": queries and keys stay as they are: no Hadamard matrix of " +
                                  "order " + std::to_string(size) + " is known here.");
      continue;
    }
    const graph::Node& node = network_.graph.at(id);
    graph::Insertion& insertion = insertions[id];
    for (size_t argument = 0; argument < 2; ++argument) {
      insertion.nodes.push_back({graph::NodeKind::kCall,
                                 "laconic::hadamard",
                                 node.module,
                                 {node.arguments[argument], c10::IValue(size)}});
      insertion.redirect[argument] = Value{-1 - static_cast<NodeId>(argument), 0};
    }
  }
  if (insertions.empty()) return;
  network_.graph = graph::insert_before(network_.graph, insertions);
  network_.graph_changes.emplace_back("rotate (keys)");
  report_.done.push_back("queries and keys of " + std::to_string(insertions.size()) +
                         " attentions go through a Hadamard transform.");
}

void Rotator::run() {
  if (options_.residual != "none") {
    for (const std::string& layer : untie(network_))
      report_.done.push_back(layer + " got a weight of its own.");
    rotate_residual();
  }
  if (options_.heads != "none") rotate_heads();
  if (options_.online) rotate_online();
  if (options_.keys) rotate_keys();
}

/// What would be rotated; the network is a copy.
std::vector<LearnedRegion> plan_regions(FloatNetwork& network, const RotateOptions& options) {
  TransformReport unused;
  Rotator rotator(network, options, unused);
  rotator.only_plan();
  rotator.run();
  return rotator.regions();
}

/// Matrices that no fast transform computes: they are drawn in double precision, and stay.
void add_dense(const std::vector<LearnedRegion>& regions, const RotateOptions& options,
               TransformNeeds& needs) {
  const bool asked = options.residual == "orthogonal" || options.heads == "orthogonal";
  for (const LearnedRegion& region : regions) {
    if (!asked && kernel::hadamard_order(region.size)) continue;
    const int64_t matrix = vector_bytes(region.size * region.size);
    needs.work_on(region.sites.front().part.layer, 2 * kDrawn * matrix);
    needs.kept += matrix;
  }
}

}  // namespace

TransformNeeds rotate_needs(const FloatNetwork& network, const nlohmann::json& given) {
  const RotateOptions options = read_options(given);
  FloatNetwork copy = network;
  TransformNeeds needs;
  add_dense(plan_regions(copy, options), options, needs);
  return needs;
}

TransformNeeds spin_needs(const FloatNetwork& network, const nlohmann::json& given) {
  const SpinOptions options = read_spin(given);
  FloatNetwork copy = network;
  const auto regions = plan_regions(copy, options.rotate);
  TransformNeeds needs;
  add_dense(regions, options.rotate, needs);
  for (const LearnedRegion& region : regions) needs.kept += vector_bytes(region.size * region.size);
  needs.others.push_back(learning_needs(copy, regions, options.learning));
  return needs;
}

TransformReport rotate(FloatNetwork& network, const nlohmann::json& options) {
  const RotateOptions read = read_options(options);
  TransformReport report{"rotate", {}, {}};
  Rotator(network, read, report).run();
  return report;
}

TransformReport spin(FloatNetwork& network, const nlohmann::json& given) {
  const SpinOptions options = read_spin(given);
  TransformReport report{"spin", {}, {}};
  Rotator rotator(network, options.rotate, report);
  rotator.run();
  TORCH_CHECK_VALUE(!rotator.regions().empty(), "[transform spin] nothing can be learned: ",
                    "residual and heads are none. Put rotate in its place.");
  const auto outcome = learn_rotations(network, rotator.regions(), options.learning);
  const size_t count = rotator.regions().size();
  const auto steps = static_cast<long long>(options.learning.steps);
  std::array<char, 200> line{};
  if (outcome.best_step == 0) {
    std::snprintf(line.data(), line.size(),
                  "%zu rotations stay as rotate made them: %lld steps found none with less "
                  "cross-entropy of the quantized network than theirs, %.4f.",
                  count, steps, outcome.loss_before);
    report.fallbacks.emplace_back(line.data());
    return report;
  }
  std::snprintf(line.data(), line.size(),
                "%zu rotations learned in %lld steps (best after %lld): cross-entropy of the "
                "quantized network %.4f, before %.4f.",
                count, steps, static_cast<long long>(outcome.best_step), outcome.loss_after,
                outcome.loss_before);
  report.done.emplace_back(line.data());
  return report;
}

void check_spin(const nlohmann::json& options) { read_spin(options); }

nlohmann::json spin_defaults() {
  auto options = rotate_defaults();
  options.update({{"steps", 100}, {"batch", 1}, {"rate", 1.5}, {"quantized_weights", false}});
  return options;
}

void check_rotate(const nlohmann::json& options) { read_options(options); }

nlohmann::json rotate_defaults() {
  return {{"residual", "random_hadamard"},
          {"heads", "random_hadamard"},
          {"online", false},
          {"keys", false},
          {"block_size", 0},
          {"seed", 0}};
}

}  // namespace laconic::transform
