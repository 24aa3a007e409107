#pragma once

#include <span>

#include "laconic/export/export.h"
#include "laconic/solve/solve.h"

namespace laconic {

/// Parts of a user's own program, known to recipes and commands by their names like ours, and
/// before ours.
struct Parts {
  std::span<const Solver> solvers;
  std::span<const Exporter> exporters;
};

}  // namespace laconic
