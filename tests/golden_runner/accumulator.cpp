#include <ATen/ATen.h>

#include "areas.h"
#include "laconic/solve/gpfq/gpfq.h"
#include "laconic/solve/gptq/gptq.h"
#include "network.h"
#include "weight_quantizer.h"

namespace laconic::golden {
namespace {

/// Hessian and mismatch over all batches of one linear layer's quantized input.
void add_statistics(const Case& item, const InputQuantizer& quantize, LayerProblem& problem) {
  std::vector<at::Tensor> batches;
  for (int i = 0; item.has_input("batch" + std::to_string(i)); ++i)
    batches.push_back(item.input("batch" + std::to_string(i)));
  TORCH_CHECK_VALUE(!batches.empty(), "input batch0: absent.");
  const at::Tensor x = at::cat(batches).to(at::kDouble);
  const at::Tensor quantized = quantize(x), rows = quantized.t() / x.size(0);
  problem.hessian = rows.mm(quantized).to(at::kFloat);
  problem.mismatch = rows.mm(x - quantized).to(at::kFloat);
}

}  // namespace

Answer answer_accumulator(const Case& item) {
  TORCH_CHECK_VALUE(item.op == "accumulator_aware_error_feedback", "op: unknown value ", item.op,
                    ".");
  Options options(item.options);
  const WeightQuantizer quantizer = read_weight_quantizer(options);
  const int64_t bits = options.whole("input_bits", 2, 8);
  const double half = std::exp2(static_cast<double>(bits) - 1);
  const bool is_signed = options.flag("input_signed", true);
  TORCH_CHECK_VALUE(is_signed, "option input_signed: expected true.");
  const double scale = options.number("input_absmax_init", 1e-30, 1e30) / half;
  const auto algorithm = options.word("algorithm", {"gptq", "gpfq"});
  columns::Options columns;
  columns.accumulator = {options.whole("accumulator_bits", 2, 32), 0};
  if (options.has("tile_size")) columns.accumulator->tile = options.whole("tile_size", 1, 1 << 20);
  options.ignore({"tile_size"});
  options.finish();

  const at::Tensor weight = item.input("0.weight");
  const QuantizedWeight nearest = quantize_weight(quantizer, weight);
  LayerProblem problem{.name = "0",
                       .weight = weight,
                       .spec = quantizer.spec,
                       .hessian = {},
                       .importance = {},
                       .parameters = QuantParameters{nearest.scale.detach(), {}}};
  problem.input = QuantSpec{.format = IntFormat{.bit_width = bits, .is_signed = is_signed}};
  add_statistics(item, {scale, -half, half - 1}, problem);
  const LayerSolution solution =
      algorithm == "gptq" ? gptq::solve(problem, columns) : gpfq::solve(problem, columns);
  Answer answer;
  answer.outputs["quant_weight"] = dequantize(problem.spec, solution.codes, solution.parameters);
  answer.outputs["codes"] = solution.codes.to(at::kFloat);
  answer.outputs["scale"] = nearest.scale.detach();
  answer.steps["quant_weight"] = nearest.scale.detach();
  answer.steps["codes"] = at::ones({});
  // The real weight before its last rounding; a solver gives codes.
  answer.not_compared.push_back("weight");
  return answer;
}

}  // namespace laconic::golden
