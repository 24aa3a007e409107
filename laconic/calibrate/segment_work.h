#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "laconic/calibrate/engine.h"
#include "laconic/calibrate/segments.h"
#include "laconic/file/safetensors/safetensors.h"
#include "laconic/graph/parameters.h"

namespace laconic {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// With which weights the network goes on where a layer is solved.
enum class RunWeights {
  kFloat,      ///< the float ones
  kQuantized,  ///< the solved ones
  kBoth,       ///< the solved ones, and beside it a float network with the float ones
};

/// Weights of one segment: float ones from the model, solved ones over them. Let go of them with
/// the object.
class SegmentWork {
 public:
  SegmentWork(const LanguageModel& model, const EngineGraph& graph, const Segment& segment,
              RunWeights weights);
  ~SegmentWork();
  SegmentWork(const SegmentWork&) = delete;
  SegmentWork& operator=(const SegmentWork&) = delete;

  /// Fetches every parameter once, for a segment that is run.
  void load();
  /// What the runner reads.
  const graph::Parameters& parameters() const { return *weights_; }
  /// The same of the float network (RunWeights::kBoth).
  const graph::Parameters& float_parameters() const { return *float_; }

  /// The static quantizer of a group's input, found: the network goes on with it.
  void put_input(const LayerGroup& group, const QuantParameters& parameters);

  /// Solves the layers of a group, joint ones left out; notes seconds of loading and solving in
  /// `report`. Of several processes each solves one at a time, and all get it.
  void solve(const LayerGroup& group, const LayerStatistics& statistics,
             const SolveFunction& solver, EngineReport& report, Processes* processes = nullptr);

  /// The weight of a layer in the float network: [out, in] float32.
  /// @throws c10::ValueError naming the layer for NaN or infinity.
  at::Tensor float_weight(const LayerTask& task) const;

  /// What was found for a layer: for the network to go on with, the report and the shard.
  struct Finished {
    const LayerTask& task;
    const at::Tensor& weight;  ///< that it was found for
    const LayerStatistics& statistics;
    const SolvedLayer& solved;
    double seconds;
  };
  void finish(const Finished& layer);

  /// Takes the solved layers from a finished shard.
  void restore(const SafetensorsFile& shard);

  const std::vector<std::string>& parameter_names() const { return names_; }
  /// Stored tensors of the solved layers.
  NamedTensors take_solved() { return std::move(solved_); }
  /// From now on nobody takes them: this process writes nothing, and packs nothing.
  void drop_solved() { keeps_solved_ = false; }
  const std::vector<LayerReport>& reports() const { return reports_; }

 private:
  struct Solved {
    at::Tensor weight;  ///< that it was found for
    SolvedLayer layer;
    double seconds = 0;
  };
  Solved solve_own(const LayerTask& task, const LayerStatistics& statistics,
                   const SolveFunction& solver, EngineReport& report) const;
  void put(const LayerTask& task, const at::Tensor& quantized);
  void correct_bias(const Finished& layer, const at::Tensor& quantized, LayerReport& report);
  void put_input(const LayerTask& task, const QuantParameters& parameters);
  void keep(const Finished& layer);

  const LanguageModel& model_;
  const Segment& segment_;
  RunWeights run_;
  std::vector<std::string> names_;
  std::vector<std::string> loaded_;  ///< those that are read whole
  std::unique_ptr<graph::OverlaidParameters> weights_, float_;
  NamedTensors solved_;
  bool keeps_solved_ = true;
  std::vector<LayerReport> reports_;
};

/// A plan's entry in the native directory.
NativeLayer native_layer(const LayerPlan& plan, at::IntArrayRef shape);

}  // namespace laconic
