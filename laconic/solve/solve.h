#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "laconic/quant/quantizer/quantize.h"

namespace laconic {

/// What a solver is told about one linear layer y = x W^T.
struct LayerProblem {
  std::string name;    ///< module path, for messages
  at::Tensor weight;   ///< [out, in] float32
  QuantSpec spec;      ///< the weight's quantizer; axes are those of `weight`
  at::Tensor hessian;  ///< [in, in] float32, X^T X / n (any positive factor); undefined for solvers
                       ///< that need none
  at::Tensor importance;  ///< [in] >= 0 or undefined: weights the search of scales
  std::optional<QuantParameters> parameters = {};  ///< frozen scales; none: the solver finds them
  /// [in, in] float32, X~^T (X - X~) / n = G - H, with X the layer's input in the float network, X~
  /// that in the network quantized so far, H = X~^T X~ / n and G = X~^T X / n. The difference, for
  /// G and H agree in most of their digits. Undefined: X~ = X.
  at::Tensor mismatch = {};
  std::optional<QuantSpec> input = {};  ///< the quantizer of the layer's input, if any
};

/// What a solver is told about layers of one block that it solves together.
struct BlockProblem {
  std::string name;  ///< of the block, for messages
  std::vector<LayerProblem> layers;
  int64_t windows = 0;  ///< calibration windows, numbered from 0
  /// Error of what leaves the block, mean over these windows, with these weights of the layers
  /// ([out, in] float32): 0-dim, with gradients where autograd records.
  std::function<at::Tensor(const std::vector<int64_t>& windows,
                           const std::vector<at::Tensor>& weights)>
      loss;
};

struct LayerSolution {
  at::Tensor codes;            ///< [out, in], as quantize_codes gives them
  QuantParameters parameters;  ///< of the spec's granularity
  std::vector<std::string> notes =
      {};  ///< fallbacks taken, one sentence each ("damping raised to 0.1: ...")
};

/// What a solver's codes may be worth.
enum class TakesCodes {
  kOfOneWorth,  ///< the same everywhere, but for scales and zero points
  kOfTables,    ///< or what the table says that a scale chose (ChoiceFormat)
  kAll,
};
bool takes_format(TakesCodes takes, const Format& format);

/// A row of the table of solvers.
struct Solver {
  const char* name;     ///< word in recipes: "nearest", "gptq"
  const char* summary;  ///< one line
  const char* paper;    ///< "arXiv:2210.17323" or ""
  bool needs_hessian;
  /// @param options  JSON object of this solver's options (keys checked: an unknown one is an
  /// error)
  /// @throws c10::ValueError naming the layer for a NaN or infinity in weight or Hessian, or shapes
  /// that do not fit.
  LayerSolution (*solve)(const LayerProblem& problem, const nlohmann::json& options);
  /// @throws c10::ValueError for an unknown key or a wrong value; called before any work.
  void (*check_options)(const nlohmann::json& options);
  /// Names of the options with defaults, as JSON.
  nlohmann::json (*default_options)();
  bool needs_mismatch = false;  ///< of the float and the quantized network's inputs
  /// How layers of a block are solved together, in place of `solve`, which is for layers outside of
  /// blocks; null: one after the other. Such a solver needs the Hessian.
  /// @returns  one solution a layer, in their order.
  std::vector<LayerSolution> (*solve_block)(const BlockProblem& problem,
                                            const nlohmann::json& options) = nullptr;
  TakesCodes takes = TakesCodes::kOfOneWorth;
};

std::span<const Solver> solvers();
/// @throws c10::ValueError listing the known names.
const Solver& find_solver(const std::string& name);

}  // namespace laconic
