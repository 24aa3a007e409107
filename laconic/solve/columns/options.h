#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace laconic::columns {

/// When the scales of groups along the inputs are found. Other granularities have one scale a row
/// or less, which is found before in any case (but for kLive).
enum class GroupScales {
  kBefore,  ///< from the float weights, before any update
  kDuring,  ///< at each group's first column, from the weights as they are then
  kLive,    ///< anew at each column, from weights of which some are rounded already; for
            ///< comparisons: slow and worse
};

/// Codes such that the dot product of a tile of inputs with a row never leaves its accumulator,
/// whatever the inputs are. Paper: Colbert et al. 2024, arXiv:2409.17092 (AXE).
struct Accumulator {
  int64_t bits = 16;  ///< of the signed accumulator of one tile
  int64_t tile = 0;   ///< inputs that share an accumulator, in their own order; 0: all
};

/// What the solvers that go column by column have in common.
struct Options {
  double damping = 0.01;     ///< added to the Hessian's diagonal, in the solver's own unit
  int64_t block_size = 128;  ///< columns between two lazy updates; the result does not depend on it
  bool activation_order = false;  ///< columns by falling diagonal of the Hessian
  GroupScales group_scales = GroupScales::kBefore;
  std::optional<Accumulator> accumulator = std::nullopt;
};

/// How one solver departs from the common options.
struct OptionRules {
  const char* solver;
  bool has_damping = true;
  bool has_live_scales = false;
  std::vector<std::string> more = {};  ///< names of options of its own, which it reads itself
};

/// @param options  an object, or null for none.
/// @throws c10::ValueError for an unknown key or a wrong value, and for activation_order with
/// group_scales "during": columns of one group are then far apart, so that no moment is its start.
Options parse(const OptionRules& rules, const nlohmann::json& options, Options defaults);

/// The options as `parse` reads them, without those of the solver's own.
nlohmann::json to_json(const OptionRules& rules, const Options& options);

}  // namespace laconic::columns
