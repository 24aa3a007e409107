#pragma once

#include <span>
#include <string>

#include "laconic/export/export.h"
#include "laconic/quant/quantizer/quant_parts.h"
#include "laconic/solve/solve.h"
#include "laconic/transform/transform.h"

namespace laconic {

/// Parts of a user's own program, known to recipes and commands by their names like ours, and
/// before ours.
struct Parts {
  std::span<const Solver> solvers;
  std::span<const Exporter> exporters;
  QuantParts quantizers = {};
  std::span<const Transform> transforms = {};
};

/// @throws c10::ValueError listing the known names.
const Solver& find_solver(const Parts& parts, const std::string& name);
const Exporter& find_exporter(const Parts& parts, const std::string& name);
const Transform& find_transform(const Parts& parts, const std::string& name);

}  // namespace laconic
