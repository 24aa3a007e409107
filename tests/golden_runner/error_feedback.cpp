#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "areas.h"
#include "laconic/solve/gpfq/gpfq.h"
#include "laconic/solve/gptq/gptq.h"
#include "laconic/solve/qronos/qronos.h"
#include "network.h"
#include "weight_quantizer.h"

namespace laconic::golden {
namespace {

/// What one case asks.
struct Task {
  WeightQuantizer quantizer;
  std::string algorithm;
  columns::Options columns;
  int64_t blocks = 100;
  Network network;
  std::vector<at::Tensor> batches;
};

std::vector<at::Tensor> float_weights(const Network& network) {
  std::vector<at::Tensor> weights;
  for (const Layer& layer : network.layers) weights.push_back(layer.weight);
  return weights;
}

std::optional<InputQuantizer> read_input_quantizer(Options& options) {
  options.ignore({"input_bits", "input_absmax_init"});
  if (!options.has("input_bits")) return std::nullopt;
  const double half = std::exp2(options.number("input_bits", 2, 16) - 1);
  return InputQuantizer{options.number("input_absmax_init", 1e-30, 1e30) / half, -half, half - 1};
}

Task read_task(const Case& item) {
  Options options(item.options);
  Task task;
  task.quantizer = read_weight_quantizer(options);
  TORCH_CHECK_VALUE(!task.quantizer.transposed &&
                        std::holds_alternative<FixedBits>(task.quantizer.spec.bit_width),
                    "option layer, learned_bit_width: expected a linear layer or a convolution "
                    "with a fixed bit width.");
  // Statistics that live on while columns are rounded.
  task.algorithm = options.word("algorithm", {"gptq", "gpfq", "qronos"});
  if (task.algorithm == "qronos") task.columns = qronos::default_qronos();
  if (task.quantizer.is_live) task.columns.group_scales = columns::GroupScales::kLive;
  task.columns.activation_order = options.flag("act_order", false);
  task.columns.damping = options.number(task.algorithm == "qronos" ? "alpha" : "damping", 0, 1e6,
                                        task.columns.damping);
  task.network.input = read_input_quantizer(options);
  if (options.has("num_blocks")) task.blocks = options.whole("num_blocks", 1, 1 << 20);
  const int64_t count = options.has("layers") ? options.whole("layers", 1, 64) : 1;
  options.word("buffers", {"float32", "float64"}, "float32");
  // Scales of the factorization of a reference in single precision, and its own power iteration:
  // no effect on the result.
  options.ignore({"cholesky_factor_scale", "beta", "power_iteration_steps", "power_iteration_seed",
                  "num_blocks", "layers"});
  options.finish();
  for (int64_t i = 0; i < count; ++i) {
    const std::string name = std::to_string(2 * i);
    const at::Tensor weight = item.input(name + ".weight");
    TORCH_CHECK_VALUE(weight.dim() >= 2 && weight.dim() <= 4, "input ", name,
                      ".weight: expected 2 to 4 dimensions, got ", weight.sizes(), ".");
    const at::Tensor bias =
        item.has_input(name + ".bias") ? item.input(name + ".bias") : at::Tensor();
    task.network.layers.push_back({name, weight, bias, std::vector<int64_t>(weight.dim() - 2, 0)});
  }
  for (int i = 0; item.has_input("batch" + std::to_string(i)); ++i)
    task.batches.push_back(item.input("batch" + std::to_string(i)));
  TORCH_CHECK_VALUE(!task.batches.empty(), "input batch0: absent.");
  return task;
}

/// Mean squared error of the network's output over all batches.
double output_error(const Task& task, const std::vector<at::Tensor>& weights) {
  Network reference = task.network;
  reference.input.reset();
  const auto original = float_weights(task.network);
  double sum = 0, count = 0;
  for (const at::Tensor& x : task.batches) {
    const auto error = task.network.output(x, weights) - reference.output(x, original);
    sum += error.square().sum().item<double>();
    count += static_cast<double>(error.numel());
  }
  return sum / count;
}

/// The cases do not say how convolutions pad: takes the padding whose error of nearest rounding is
/// the recorded one.
void infer_padding(Task& task, const std::vector<at::Tensor>& nearest, double recorded) {
  auto& layers = task.network.layers;
  int64_t largest = 0;
  for (const Layer& layer : layers) {
    for (const int64_t size : layer.weight.sizes().slice(2)) largest = std::max(largest, size - 1);
  }
  const auto pad = [&](int64_t padding) {
    for (Layer& layer : layers) std::fill(layer.padding.begin(), layer.padding.end(), padding);
  };
  int64_t best = 0;
  double distance = std::numeric_limits<double>::infinity();
  for (int64_t padding = 0; padding <= std::min<int64_t>(largest, 8); ++padding) {
    pad(padding);
    double found = 0;
    try {
      found = std::abs(output_error(task, nearest) - recorded);
    } catch (const c10::Error&) {
      continue;  // a kernel larger than its input
    }
    if (found < distance) best = padding, distance = found;
  }
  pad(best);
}

/// The statistics of one group of a layer over all batches.
struct Statistics {
  at::Tensor hessian;   ///< X~^T X~ / n
  at::Tensor mismatch;  ///< X~^T (X - X~) / n, X of the float network
};

Statistics statistics(const Task& task, size_t layer, int64_t group,
                      const std::vector<at::Tensor>& weights) {
  Network reference = task.network;
  reference.input.reset();
  const auto original = float_weights(task.network);
  Statistics sum;
  int64_t count = 0;
  const auto rows_of = [&](const Network& network, const at::Tensor& x,
                           const std::vector<at::Tensor>& used) {
    return input_rows(network.layers[layer], network.input_of(layer, x, used), group)
        .to(at::kDouble);
  };
  for (const at::Tensor& x : task.batches) {
    const auto rows = rows_of(task.network, x, weights);
    const auto lost = rows_of(reference, x, original) - rows;
    const auto product = rows.t().mm(rows), cross = rows.t().mm(lost);
    sum.hessian = sum.hessian.defined() ? sum.hessian + product : product;
    sum.mismatch = sum.mismatch.defined() ? sum.mismatch + cross : cross;
    count += rows.size(0);
  }
  const auto mean = [&](const at::Tensor& x) {
    return (x / static_cast<double>(count)).to(at::kFloat);
  };
  return {mean(sum.hessian), mean(sum.mismatch)};
}

LayerSolution solve(const Task& task, const LayerProblem& problem,
                    const columns::Options& options) {
  if (task.algorithm == "gpfq") return gpfq::solve(problem, options);
  if (task.algorithm == "qronos") return qronos::solve(problem, options);
  return gptq::solve(problem, options);
}

/// The part of a scale or zero point that belongs to some output channels of the flattened weight.
at::Tensor rows_of_parameter(const QuantSpec& spec, const at::Tensor& value, int64_t begin,
                             int64_t rows) {
  if (!value.defined()) return value;
  if (value.dim() == 0) return value.detach();
  const at::Tensor part = value.detach().narrow(0, begin, rows);
  return std::holds_alternative<PerGroup>(spec.granularity) ? part : part.reshape({rows, 1});
}

struct Solved {
  at::Tensor value, scale;  ///< shaped as the weight and as the quantizer's scale
};

Solved solve_layer(const Task& task, size_t index, const QuantizedWeight& nearest,
                   const std::vector<at::Tensor>& weights) {
  const Layer& layer = task.network.layers[index];
  const QuantSpec& spec = task.quantizer.spec;
  TORCH_CHECK_VALUE(layer.weight.dim() == 2 || !std::holds_alternative<PerGroup>(spec.granularity),
                    "option granularity: groups of a convolution's weight are not known.");
  const int64_t groups =
      group_count(layer, task.network.input_of(index, task.batches.front(), weights));
  const int64_t rows = layer.weight.size(0) / groups;
  const at::Tensor matrix = layer.weight.flatten(1);
  columns::Options options = task.columns;
  options.block_size = (matrix.size(1) + task.blocks - 1) / task.blocks;
  std::vector<at::Tensor> values, scales;
  for (int64_t group = 0; group < groups; ++group) {
    const Statistics found = statistics(task, index, group, weights);
    LayerProblem problem{
        layer.name, matrix.narrow(0, group * rows, rows).contiguous(), spec, found.hessian, {}};
    problem.mismatch = found.mismatch;
    if (options.group_scales != columns::GroupScales::kLive) {
      problem.parameters =
          QuantParameters{rows_of_parameter(spec, nearest.scale, group * rows, rows), {}};
      // The recorded zero points are statistics that live on beside a frozen scale.
      if (nearest.zero_point.defined()) options.group_scales = columns::GroupScales::kLive;
    }
    const LayerSolution solution = solve(task, problem, options);
    values.push_back(dequantize(spec, solution.codes, solution.parameters));
    scales.push_back(solution.parameters.scale);
  }
  const at::Tensor scale = scales.front().dim() == 0 ? scales.front() : at::cat(scales);
  return {at::cat(values).reshape(layer.weight.sizes()), scale.reshape(nearest.scale.sizes())};
}

void check_error(const Case& item, double found, Answer& answer) {
  const auto recorded = item.expect.find("output_mse_after");
  if (recorded == item.expect.end() || !recorded->is_number()) return;
  const double want = recorded->get<double>();
  if (found <= 1.05 * want) return;
  answer.failures.push_back("output error: got " + std::to_string(found) +
                            ", want at most 1.05 x " + std::to_string(want));
}

}  // namespace

Answer answer_error_feedback(const Case& item) {
  TORCH_CHECK_VALUE(item.op == "error_feedback", "op: unknown value ", item.op,
                    "; known is error_feedback.");
  Task task = read_task(item);
  Answer answer;
  std::vector<QuantizedWeight> nearest;
  std::vector<at::Tensor> nearest_values;
  for (const Layer& layer : task.network.layers) {
    nearest.push_back(quantize_weight(task.quantizer, layer.weight));
    nearest_values.push_back(nearest.back().value.detach());
  }
  const auto recorded = item.expect.find("output_mse_nearest");
  if (recorded != item.expect.end() && recorded->is_number())
    infer_padding(task, nearest_values, recorded->get<double>());
  std::vector<at::Tensor> weights = float_weights(task.network);
  for (size_t i = 0; i < task.network.layers.size(); ++i) {
    const Layer& layer = task.network.layers[i];
    const Solved solved = solve_layer(task, i, nearest[i], weights);
    weights[i] = solved.value;
    const at::Tensor scale = recorded_shape(task.quantizer, solved.scale, layer.weight);
    answer.outputs["quant_weight." + layer.name] = solved.value;
    answer.outputs["nearest_quant_weight." + layer.name] = nearest_values[i];
    answer.outputs["scale." + layer.name] = scale;
    answer.steps["quant_weight." + layer.name] = scale;
    answer.steps["nearest_quant_weight." + layer.name] = scale;
    // The real weight before its last rounding; a solver gives codes.
    answer.not_compared.push_back("weight." + layer.name);
  }
  check_error(item, output_error(task, weights), answer);
  return answer;
}

}  // namespace laconic::golden
