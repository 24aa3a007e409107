#include "laconic/solve/gptq/reference.h"

#include "laconic/solve/columns/reference.h"

namespace laconic::gptq {

LayerSolution solve_reference(const LayerProblem& problem, const GptqOptions& options) {
  std::vector<std::string> notes;
  columns::ReferenceColumns columns(problem, options);
  const double unit = columns.H.diagonal().mean().item<double>();
  const at::Tensor U =
      columns::inverse_factor(problem, columns.ordered(columns.H), options.damping, unit, notes);
  columns::diffuse(columns, U, 0, options.block_size);
  return columns.solution(notes);
}

}  // namespace laconic::gptq
