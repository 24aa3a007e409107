#include <ATen/ATen.h>

#include <functional>
#include <map>
#include <optional>

#include "areas.h"
#include "laconic/quant/tensor/elementwise.h"
#include "laconic/quant/tensor/pool.h"
#include "laconic/quant/tensor/shape.h"
#include "options.h"
#include "tensors.h"

namespace laconic::golden {
namespace {

using Operands = std::vector<QuantTensor>;
using Operation = std::function<QuantTensor(const Operands&)>;

/// Operations whose result is quantized. Sizes and factors are those of the recording.
const std::map<std::string, Operation>& operations() {
  static const std::map<std::string, Operation> table = {
      {"add", [](const Operands& x) { return add(x[0], x[1]); }},
      {"add_unsigned", [](const Operands& x) { return add(x[0], x[1]); }},
      {"sub", [](const Operands& x) { return subtract(x[0], x[1]); }},
      {"mul", [](const Operands& x) { return multiply(x[0], x[1]); }},
      {"mul_unsigned", [](const Operands& x) { return multiply(x[0], x[1]); }},
      {"div", [](const Operands& x) { return divide(x[0], x[1]); }},
      {"neg_signed", [](const Operands& x) { return negate(x[0]); }},
      {"neg_unsigned", [](const Operands& x) { return negate(x[0]); }},
      {"abs_signed", [](const Operands& x) { return absolute(x[0]); }},
      {"abs_unsigned", [](const Operands& x) { return absolute(x[0]); }},
      {"cat",
       [](const Operands& x) {
         return concatenate({x[0], x[1]}, 1);
       }},
      {"relu", [](const Operands& x) { return relu(x[0]); }},
      {"hardtanh", [](const Operands& x) { return clamp(x[0], -0.5, 0.5); }},
      {"max_pool2d", [](const Operands& x) { return max_pool2d(x[0], {}); }},
      {"avg_pool2d", [](const Operands& x) { return average_pool2d(x[0], {}); }},
      {"adaptive_avg_pool2d",
       [](const Operands& x) { return adaptive_average_pool2d(x[0], 1, 1); }},
      {"transpose", [](const Operands& x) { return transpose(x[0], 1, 2); }},
      {"flatten", [](const Operands& x) { return flatten(x[0], 1, -1); }},
      {"reshape",
       [](const Operands& x) {
         return reshape(x[0], {2, 12, 4});
       }},
      {"pad",
       [](const Operands& x) {
         return pad(x[0], {1, 1, 0, 1});
       }},
      {"interpolate_nearest", [](const Operands& x) { return upsample_nearest(x[0], 2); }},
      {"pixel_unshuffle", [](const Operands& x) { return pixel_unshuffle(x[0], 2); }}};
  return table;
}

/// Those whose result is a plain tensor.
std::optional<at::Tensor> plain_result(const Case& item, const std::string& word,
                                       const Operands& x) {
  if (word == "mul_plain") return multiply(x[0], item.input("plain"));
  if (word == "mean") return x[0].value.mean(1);
  if (word == "sigmoid") return x[0].value.sigmoid();
  return std::nullopt;
}

void expect_flag(const Case& item, const char* key, bool got, Answer& answer) {
  if (!item.expect.contains(key) || item.expect.at(key).get<bool>() == got) return;
  answer.failures.push_back(std::string(key) + ": got " + (got ? "true" : "false"));
}

Answer quantized_answer(const Case& item, const QuantTensor& result) {
  Answer answer;
  answer.outputs = {{"value", result.value},
                    {"scale", result.scale},
                    {"zero_point", zero_point_of(result)},
                    {"bit_width", bit_width_of(result)}};
  if (item.outputs.count("codes") > 0) answer.outputs["codes"] = codes_of(result).to(at::kFloat);
  expect_flag(item, "result_is_quantized", true, answer);
  expect_flag(item, "signed", std::get<IntFormat>(result.format).is_signed, answer);
  expect_flag(item, "valid", is_valid(result), answer);
  return answer;
}

Answer answer_operation(const Case& item, const std::string& word) {
  Operands operands;
  for (int i = 0; item.has_input("operand" + std::to_string(i) + ".value"); ++i)
    operands.push_back(read_tensor(item, "operand" + std::to_string(i) + "."));
  if (const auto plain = plain_result(item, word, operands)) {
    Answer answer;
    answer.outputs = {{"value", *plain}};
    expect_flag(item, "result_is_quantized", false, answer);
    return answer;
  }
  if (word == "add_plain") return quantized_answer(item, add(operands[0], item.input("plain")));
  if (item.expect.value("raises", false) && word == "sum")
    return {};  // no sum over all: nothing to call
  const auto found = operations().find(word);
  TORCH_CHECK_VALUE(found != operations().end(), "option operation: unknown value ", word, ".");
  return quantized_answer(item, found->second(operands));
}

Answer answer_codes(const Case& item, Options& options) {
  const QuantTensor tensor = read_tensor(item, "operand0.", options.flag("signed", true));
  options.whole("bits", 1, 32);
  options.finish();
  const at::Tensor codes = codes_of(tensor);
  Answer answer;
  answer.outputs = {{"codes", codes}};
  const std::map<std::string, at::ScalarType> dtypes = {
      {"int8", at::kChar}, {"uint8", at::kByte}, {"int32", at::kInt}};
  const auto want = item.expect.at("storage_dtype").get<std::string>();
  if (dtypes.at(want) != codes.scalar_type())
    answer.failures.push_back("storage_dtype: expected " + want);
  return answer;
}

}  // namespace

Answer answer_quant_tensor(const Case& item) {
  Options options(item.options);
  if (item.op == "quant_tensor_int") return answer_codes(item, options);
  TORCH_CHECK_VALUE(item.op == "quant_tensor_op", "op: unknown value ", item.op, ".");
  const auto word = item.options.at("operation").get<std::string>();
  options.ignore({"operation"});
  options.finish();
  return answer_operation(item, word);
}

}  // namespace laconic::golden
