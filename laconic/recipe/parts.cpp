#include "laconic/recipe/parts.h"

#include "laconic/base/table.h"

namespace laconic {

const Solver& find_solver(const Parts& parts, const std::string& name) {
  const Solver* own = find_row(parts.solvers, name);
  return own != nullptr ? *own : find_solver(name);
}

const Exporter& find_exporter(const Parts& parts, const std::string& name) {
  const Exporter* own = find_row(parts.exporters, name);
  return own != nullptr ? *own : find_exporter(name);
}

const Transform& find_transform(const Parts& parts, const std::string& name) {
  const Transform* own = find_row(parts.transforms, name);
  return own != nullptr ? *own : find_transform(name);
}

}  // namespace laconic
