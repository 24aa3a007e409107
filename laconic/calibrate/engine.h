#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "laconic/load/language_model.h"
#include "laconic/load/native/native.h"

namespace laconic {

/// What is to be done with one layer.
struct LayerPlan {
  graph::LinearLayer layer;
  QuantSpec weight;
  std::optional<QuantSpec> input;
  bool needs_hessian = false;
};

/// Statistics of one layer's input over the calibration set.
struct LayerStatistics {
  at::Tensor
      hessian;  ///< [in, in] float32: X^T X / n; undefined when no layer of the group needs it
  at::Tensor mean_square;  ///< [in] float32: mean of x^2
  int64_t rows = 0;        ///< n
};

struct SolvedLayer {
  at::Tensor codes;  ///< [out, in]
  QuantParameters parameters;
  std::vector<std::string> notes;
};
using SolveFunction = std::function<SolvedLayer(const LayerPlan& plan, const at::Tensor& weight,
                                                const LayerStatistics&)>;

struct EngineOptions {
  int64_t batch = 4;  ///< windows run at once
  bool progress = false;
  bool quantized_inputs = true;    ///< statistics from the quantized network's inputs
  int64_t stop_after_blocks = -1;  ///< tests: pretend to be killed here
};

struct LayerReport {
  std::string name, weight_spec;
  double signal_to_noise_db = 0;  ///< of the weight
  double output_error =
      0;  ///< relative squared error of the layer's output, by the Hessian; NaN when unknown
  double seconds = 0;
  std::vector<std::string> notes;
};

struct EngineReport {
  std::vector<LayerReport> layers;
  double load_seconds = 0, calibrate_seconds = 0, solve_seconds = 0, write_seconds = 0,
         total_seconds = 0;
  uint64_t peak_bytes = 0;
};

/// Quantizes block by block: one block's weights, the activations entering it and its Hessians are
/// in memory, nothing else. Each finished block is a shard of the writer.
/// @param windows  [n, length] int64 token ids; may be empty when no layer needs a Hessian.
EngineReport run_engine(const LanguageModel& model, const std::vector<LayerPlan>& plans,
                        const at::Tensor& windows, const SolveFunction& solve, NativeWriter& writer,
                        const EngineOptions& options);

}  // namespace laconic
