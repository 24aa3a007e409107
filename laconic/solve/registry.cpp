#include <c10/util/Exception.h>

#include <string>
#include <vector>

#include "laconic/base/table.h"
#include "laconic/base/text.h"
#include "laconic/solve/adaround/adaround.h"
#include "laconic/solve/autoround/autoround.h"
#include "laconic/solve/brecq/brecq.h"
#include "laconic/solve/coordinate_descent/coordinate_descent.h"
#include "laconic/solve/decoupleq/decoupleq.h"
#include "laconic/solve/gpfq/gpfq.h"
#include "laconic/solve/gptaq/gptaq.h"
#include "laconic/solve/gptq/gptq.h"
#include "laconic/solve/half_quadratic/half_quadratic.h"
#include "laconic/solve/nearest/nearest.h"
#include "laconic/solve/qronos/qronos.h"
#include "laconic/solve/solve.h"

namespace laconic {
namespace {

constexpr Solver kSolvers[] = {
    nearest::kSolver,   gptq::kSolver,          gpfq::kSolver,
    gptaq::kSolver,     qronos::kSolver,        autoround::kSolver,
    adaround::kSolver,  brecq::kSolver,         coordinate_descent::kSolver,
    decoupleq::kSolver, half_quadratic::kSolver};

}  // namespace

std::span<const Solver> solvers() { return kSolvers; }

const Solver& find_solver(const std::string& name) {
  if (const Solver* found = find_row<Solver>(kSolvers, name)) return *found;
  TORCH_CHECK_VALUE(false, "[solver] unknown solver \"", name, "\"",
                    suggestion(name, row_names<Solver>(kSolvers)), ".");
}

}  // namespace laconic
