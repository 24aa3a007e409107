#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "laconic/calibrate/layer_plan.h"
#include "laconic/load/language_model.h"
#include "laconic/load/native/native.h"

namespace laconic {

class Processes;
class StatisticsStore;

/// Statistics of one layer's input over the calibration set.
struct LayerStatistics {
  at::Tensor
      hessian;  ///< [in, in] float32: X^T X / n; undefined when no layer of the group needs it
  at::Tensor mean_square;  ///< [in] float32: mean of x^2; undefined with the Hessian
  /// [in] float32: mean of x; undefined with the Hessian, and for an expert with too few tokens.
  at::Tensor mean = {};
  int64_t rows = 0;                           ///< n
  std::optional<QuantParameters> input = {};  ///< of a static input
  /// [in, in] float32: X~^T (X - X~) / n, X of the float network, X~ of the quantized one;
  /// undefined when no layer of the group needs it, or when statistics are of the float network.
  at::Tensor mismatch = {};
  at::Tensor lost = {};       ///< [in, in] float32: (X - X~)^T (X - X~) / n; with the mismatch
  at::Tensor mean_lost = {};  ///< [in] float32: mean of x - x~; with the mismatch
  std::vector<std::string> notes = {};  ///< for the layer's report
};

struct SolvedLayer {
  at::Tensor codes;  ///< [out, in]
  QuantParameters parameters;
  std::vector<std::string> notes;
};
using SolveFunction = std::function<SolvedLayer(const LayerPlan& plan, const at::Tensor& weight,
                                                const LayerStatistics&)>;

/// Layers of one block that are solved together.
struct BlockTask {
  struct Layer {
    const LayerPlan* plan = nullptr;
    at::Tensor weight;           ///< [out, in] float32
    LayerStatistics statistics;  ///< its matrices may lie elsewhere: on disk, in main memory
  };
  std::string name;  ///< of the block
  std::vector<Layer> layers;
  int64_t windows = 0;  ///< calibration windows, numbered from 0
  /// Mean squared difference between what leaves the block with these weights, [out, in] each, and
  /// what leaves it in the float network: 0-dim, with the weights' gradients where autograd
  /// records. What enters is of the network as quantized so far.
  std::function<at::Tensor(const std::vector<int64_t>& windows,
                           const std::vector<at::Tensor>& weights)>
      loss;
};
using SolveBlockFunction = std::function<std::vector<SolvedLayer>(const BlockTask& block)>;

struct EngineOptions {
  int64_t batch = 4;  ///< windows run at once
  bool progress = false;
  at::Device device = at::kCPU;  ///< where the model's parameters come to (load/placement.h)
  /// Statistics from the inputs in the network as quantized so far; else from the float network.
  bool quantized_inputs = true;
  int64_t stop_after_blocks = -1;       ///< tests: throw Interrupted after so many blocks
  SolveBlockFunction solve_block = {};  ///< of joint layers
  /// Largest resident set that the process may have, bytes; 0: any. Obeyed by fewer windows at once
  /// and by activations on disk, in the writer's working directory.
  uint64_t host_memory = 0;
  /// The same of the device's memory, which LibTorch's allocator then keeps to; 0: any. Obeyed by
  /// fewer windows at once and by activations that wait in main memory, or on disk.
  uint64_t device_memory = 0;
  /// In place of windows: gathered before, of the same float network. The plans must need no more
  /// (StatisticsStore::check_serves), and quantized_inputs be false.
  const StatisticsStore* statistics = nullptr;
  /// Others that do the same job: each runs its share of the windows and solves its share of the
  /// layers, the first writes. All have the same models, plans, windows and options, and see the
  /// writer's working directory. Null: alone.
  Processes* processes = nullptr;
};

/// Where something waits.
enum class KeptIn { kDevice, kMemory, kDisk };

/// How the engine stayed under EngineOptions::host_memory and device_memory.
struct MemoryReport {
  uint64_t limit = 0;                 ///< bytes; 0: none
  uint64_t planned_bytes = 0;         ///< estimate of the largest resident set, from shapes
  int64_t batch = 0;                  ///< windows that ran at once
  KeptIn carried = KeptIn::kMemory;   ///< what the windows carry from block to block
  KeptIn hessians = KeptIn::kMemory;  ///< those of a block that is solved at once
  uint64_t spilled_bytes = 0;         ///< the most that was on disk of what is carried
  uint64_t spilled_hessian_bytes = 0;
  uint64_t device_limit = 0;          ///< bytes; 0: none
  uint64_t device_planned_bytes = 0;  ///< as planned_bytes, of the device; 0 without a limit of it
  uint64_t device_peak_bytes = 0;     ///< the most that LibTorch took of it; 0 on the CPU
  std::vector<std::string> notes = {};
};

struct LayerReport {
  std::string name, weight_spec;
  double signal_to_noise_db = 0;  ///< of the weight
  double output_error =
      0;  ///< relative squared error of the layer's output, by the Hessian; NaN when unknown
  /// |X W - X~ Q|^2 / |X W|^2 with the inputs X of the float network and X~ of the quantized one:
  /// what this layer and those before it lost together; NaN when the mismatch was not gathered.
  double followed_error = std::numeric_limits<double>::quiet_NaN();
  double seconds = 0;
  std::vector<std::string> notes;
};

struct EngineReport {
  std::vector<LayerReport> layers;
  double load_seconds = 0, calibrate_seconds = 0, solve_seconds = 0, write_seconds = 0,
         total_seconds = 0;
  uint64_t peak_bytes = 0;  ///< largest resident set of the process so far
  MemoryReport memory = {};
};
/// An unknown number is null.
nlohmann::json to_json(const LayerReport& report);
nlohmann::json to_json(const EngineReport& report);

/// A mean of fewer products than this says more about its tokens than about an expert's inputs.
constexpr int64_t kFewestExpertTokens = 128;

/// Shards that run_engine writes: one a block, then one for all the rest.
int engine_shard_count(const LanguageModel& model);

/// Quantizes block by block: one block's weights, the activations entering it and its Hessians are
/// in memory, nothing else; with a solver that needs the mismatch of the float and the quantized
/// network, the float weights and activations of the same block as well. Layers that share their
/// input share one Hessian, and the range of a static quantizer of it, which is found first. Joint
/// layers of a block are solved before its others, all at once, with the float network beside.
/// Layers outside of blocks (a head, an embedding, which the blocks then see quantized) are solved
/// where they stand. Shard i of the writer is block i;
/// the last one holds embeddings, norms, head and whatever else the checkpoint has; tensors that
/// are not quantized keep their stored dtype. Shards that are there are kept (a resumed run) and
/// give the same bytes in those that follow. The caller finishes the writer. An expert of a mixture
/// has statistics of the tokens that were routed to it alone, and no mismatch (the two networks may
/// route other tokens to it); one with fewer than kFewestExpertTokens is rounded as if its inputs
/// were uncorrelated (GPTQ: to nearest), and its report says so.
/// @param windows  [n, length] int64 token ids; may be undefined when no layer needs a Hessian
/// or has a static input, or with options.statistics: nothing is run then.
/// @throws c10::ValueError naming the layer: NaN or infinity in its weight or input, no input at
/// all, a weight that is
///         tied to another layer's without a plan for both; naming the window for an id or a length
///         that the model does not have; naming the largest layer for a limit of memory that it
///         cannot be solved in, before any work.
EngineReport run_engine(const LanguageModel& model, const std::vector<LayerPlan>& plans,
                        const at::Tensor& windows, const SolveFunction& solve, NativeWriter& writer,
                        const EngineOptions& options);

}  // namespace laconic
