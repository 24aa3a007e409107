// GPTQ of one layer, given its weight and Hessian. Reads and writes raw float32, prints one JSON
// object.
//   gptq_layer_bench WEIGHT.f32 HESSIAN.f32 ROWS COLUMNS BITS GROUP_SIZE THREADS REPEATS
//   [OPTIONS_JSON]
// GROUP_SIZE 0: per channel. The quantized weight goes to WEIGHT.f32.quantized.
#include <ATen/Parallel.h>
#include <ATen/ops/from_file.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "laconic/base/progress.h"
#include "laconic/calibrate/fidelity.h"
#include "laconic/solve/solve.h"

namespace laconic {
namespace {

QuantSpec spec_of(int64_t bits, int64_t group_size) {
  QuantSpec spec;
  spec.format = IntFormat{.bit_width = bits, .is_signed = true, .narrow_range = group_size == 0};
  spec.granularity = PerChannel{0};
  if (group_size > 0) spec.granularity = PerGroup{.axis = 1, .group_size = group_size};
  return spec;
}

int run(char** arguments, int count) {
  const int64_t rows = std::stoll(arguments[3]), columns = std::stoll(arguments[4]);
  at::set_num_threads(std::stoi(arguments[7]));
  LayerProblem problem{.name = "bench",
                       .weight = {},
                       .spec = spec_of(std::stoll(arguments[5]), std::stoll(arguments[6])),
                       .hessian = {},
                       .importance = {}};
  problem.weight =
      at::from_file(arguments[1], false, rows * columns, at::kFloat).view({rows, columns}).clone();
  problem.hessian = at::from_file(arguments[2], false, columns * columns, at::kFloat)
                        .view({columns, columns})
                        .clone();
  const auto options = count > 9 ? nlohmann::json::parse(arguments[9]) : nlohmann::json::object();
  nlohmann::json seconds = nlohmann::json::array();
  at::Tensor quantized;
  for (int repeat = 0; repeat < std::stoi(arguments[8]); ++repeat) {
    const Stopwatch watch;
    const LayerSolution solution = find_solver("gptq").solve(problem, options);
    seconds.push_back(watch.seconds());
    quantized = dequantize(problem.spec, solution.codes, solution.parameters).contiguous();
  }
  std::ofstream out(std::string(arguments[1]) + ".quantized", std::ios::binary);
  out.write(static_cast<const char*>(quantized.const_data_ptr()), quantized.numel() * 4);
  const double error = relative_output_error(problem.weight, quantized, problem.hessian);
  std::puts(nlohmann::json({{"seconds", seconds}, {"output_error", error}}).dump().c_str());
  return 0;
}

}  // namespace
}  // namespace laconic

int main(int count, char** arguments) {
  if (count < 9) {
    std::fputs(
        "usage: gptq_layer_bench WEIGHT HESSIAN ROWS COLUMNS BITS GROUP_SIZE THREADS REPEATS "
        "[OPTIONS]\n",
        stderr);
    return 2;
  }
  return laconic::run(arguments, count);
}
