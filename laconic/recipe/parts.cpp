#include "laconic/recipe/parts.h"

#include <algorithm>

namespace laconic {

const Solver& find_solver(const Parts& parts, const std::string& name) {
  const auto own = std::find_if(parts.solvers.begin(), parts.solvers.end(),
                                [&](const Solver& solver) { return name == solver.name; });
  return own != parts.solvers.end() ? *own : find_solver(name);
}

}  // namespace laconic
