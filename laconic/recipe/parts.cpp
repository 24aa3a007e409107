#include "laconic/recipe/parts.h"

#include <algorithm>

namespace laconic {

const Solver& find_solver(const Parts& parts, const std::string& name) {
  const auto own = std::find_if(parts.solvers.begin(), parts.solvers.end(),
                                [&](const Solver& solver) { return name == solver.name; });
  return own != parts.solvers.end() ? *own : find_solver(name);
}

const Exporter& find_exporter(const Parts& parts, const std::string& name) {
  const auto own = std::find_if(parts.exporters.begin(), parts.exporters.end(),
                                [&](const Exporter& exporter) { return name == exporter.name; });
  return own != parts.exporters.end() ? *own : find_exporter(name);
}

const Transform& find_transform(const Parts& parts, const std::string& name) {
  const auto own = std::find_if(parts.transforms.begin(), parts.transforms.end(),
                                [&](const Transform& row) { return name == row.name; });
  return own != parts.transforms.end() ? *own : find_transform(name);
}

}  // namespace laconic
