#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "areas.h"
#include "laconic/quant/quantizer/formula.h"
#include "parts.h"

namespace laconic::golden {
namespace {

/// The reserved mantissas of the top exponent, written out: those of a kind are all there are.
FloatSpecials read_specials(Options& options) {
  const auto mantissas = [&](const char* key) {
    return options.has(key) ? options.words(key) : std::vector<std::string>();
  };
  const auto infinite = mantissas("inf_mantissa_codes"), nan = mantissas("nan_mantissa_codes");
  options.ignore({"inf_mantissa_codes", "nan_mantissa_codes"});
  if (infinite.empty() && nan.empty()) return FloatSpecials::kNone;
  if (infinite.empty() && nan == std::vector<std::string>{"111"}) return FloatSpecials::kNan;
  TORCH_CHECK_VALUE(infinite == std::vector<std::string>{"00"} && nan.size() == 3,
                    "option nan_mantissa_codes: no special values that a minifloat has.");
  return FloatSpecials::kIeee;
}

Answer answer_float_quant(const Case& item) {
  Options options(item.options);
  QuantSpec parts;
  MinifloatFormat format;
  format.exponent_bits = options.whole("exponent_bits", 1, 8);
  format.mantissa_bits = options.whole("mantissa_bits", 0, 14);
  format.exponent_bias = options.whole("exponent_bias", -500, 500);
  format.is_signed = options.flag("signed", true);
  format.saturating = options.flag("saturating", true);
  format.specials = read_specials(options);
  parts.rounding = read_rounding(options);
  parts.gradient = read_clamp_gradient(options);
  options.finish();
  parts.format = format;
  check(parts);

  Answer answer;
  const at::Tensor x = answer.leaves["x"] = item.input("x").requires_grad_();
  const at::Tensor scale = answer.leaves["scale"] = item.input("scale").requires_grad_();
  const at::Tensor elements = elements_of(x, scale, {}, bounds_like(format, x), parts);
  answer.differentiated = real_values(elements, scale, {});
  const auto number = [](double value) { return at::full({}, value); };
  answer.outputs = {{"y", answer.differentiated},
                    {"scale", scale.reshape({1})},
                    {"zero_point", number(0)},
                    {"exponent_bit_width", number(static_cast<double>(format.exponent_bits))},
                    {"mantissa_bit_width", number(static_cast<double>(format.mantissa_bits))},
                    {"exponent_bias", number(static_cast<double>(limits(format).bias))}};
  return answer;
}

/// The largest number and the shape of each named format; what the mid-max rule adds to its
/// mantissa bits.
Answer answer_format_table(const Case& item) {
  Options(item.options).finish();
  Answer answer;
  for (const auto& [name, expect] : item.expect.items()) {
    MinifloatFormat format{.exponent_bits = expect.at("exponent_bits"),
                           .mantissa_bits = expect.at("mantissa_bits")};
    if (name.ends_with("_ocp")) format = name == "e4m3_ocp" ? e4m3() : e5m2();
    if (name.ends_with("_fnuz")) format = name == "e4m3_fnuz" ? e4m3_fnuz() : e5m2_fnuz();
    const MinifloatLimits found = limits(format);
    const int64_t top = (int64_t{1} << format.exponent_bits) - 1 - found.bias;
    const int64_t mantissas = int64_t{1} << format.mantissa_bits;
    auto numbers = format_values(format);
    numbers.resize(static_cast<size_t>(mantissas) << format.exponent_bits);
    const auto reserved = std::count_if(numbers.end() - mantissas, numbers.end(),
                                        [](double number) { return !std::isfinite(number); });
    const double midmax = reserved == mantissas ? 0 : std::log2(static_cast<double>(reserved) + 1);
    const nlohmann::json got = {{"exponent_bits", format.exponent_bits},
                                {"mantissa_bits", format.mantissa_bits},
                                {"exponent_bias", found.bias},
                                {"max_normal", found.largest},
                                {"max_exponent", top},
                                {"midmax_mantissa_bit_bias", midmax}};
    if (got != expect)
      answer.failures.push_back(name + ": got " + got.dump() + ", want " + expect.dump());
  }
  return answer;
}

}  // namespace

Answer answer_core_float(const Case& item) {
  if (item.op == "float_format_table") return answer_format_table(item);
  TORCH_CHECK_VALUE(item.op == "float_quant", "op: unknown value ", item.op,
                    "; known are float_quant, float_format_table.");
  return answer_float_quant(item);
}

}  // namespace laconic::golden
