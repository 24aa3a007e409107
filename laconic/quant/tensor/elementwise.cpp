#include "laconic/quant/tensor/elementwise.h"

#include <cmath>
#include <string_view>

#include "laconic/quant/tensor/operands.h"

namespace laconic {
namespace {

at::Tensor sum_of_zero_points(const QuantTensor& a, const QuantTensor& b) {
  if (!a.zero_point.defined() && !b.zero_point.defined()) return {};
  return zero_or_none(a) + zero_or_none(b);
}

at::Tensor negated(const at::Tensor& zero_point) {
  return zero_point.defined() ? zero_point.neg() : zero_point;
}

void check_operands(std::string_view where, const QuantTensor& a, const QuantTensor& b) {
  integers_of(where, a), integers_of(where, b);
  check_ungrouped(where, a), check_ungrouped(where, b);
}

double tolerance_of(c10::ScalarType dtype) {
  if (dtype == c10::ScalarType::Double) return 0.1;
  return dtype == c10::ScalarType::Float ? 0.2 : 0.5;
}

}  // namespace

QuantTensor add(const QuantTensor& a, const QuantTensor& b) {
  check_operands("add", a, b);
  check_same_scale("add", a, b);
  const IntFormat &left = integers_of("add", a), &right = integers_of("add", b);
  const CodeRange one = wide_code_range(left), other = wide_code_range(right);
  const IntFormat format = integers_for("add", {one.q_min + other.q_min, one.q_max + other.q_max},
                                        left.is_signed || right.is_signed);
  return integer_tensor(a.value + b.value, a.scale, sum_of_zero_points(a, b), format);
}

QuantTensor subtract(const QuantTensor& a, const QuantTensor& b) { return add(a, negate(b)); }

QuantTensor add(const QuantTensor& a, const at::Tensor& plain) {
  const IntFormat& format = integers_of("add", a);
  check_ungrouped("add", a);
  return integer_tensor(a.value + plain, a.scale, zero_or_none(a) - plain / a.scale, format);
}

QuantTensor multiply(const QuantTensor& a, const QuantTensor& b) {
  check_operands("multiply", a, b);
  check_symmetric("multiply", a), check_symmetric("multiply", b);
  const IntFormat &left = integers_of("multiply", a), &right = integers_of("multiply", b);
  return integer_tensor(
      a.value * b.value, a.scale * b.scale, {},
      {left.bit_width + right.bit_width, left.is_signed || right.is_signed, false});
}

at::Tensor multiply(const QuantTensor& a, const at::Tensor& plain) { return a.value * plain; }

QuantTensor divide(const QuantTensor& a, const QuantTensor& b) {
  check_operands("divide", a, b);
  check_symmetric("divide", a), check_symmetric("divide", b);
  const IntFormat &left = integers_of("divide", a), &right = integers_of("divide", b);
  const double steps =
      std::ldexp(1.0, static_cast<int>(right.bit_width - (right.is_signed ? 1 : 0)));
  return integer_tensor(
      a.value / b.value, a.scale / (b.scale * steps), {},
      {left.bit_width + right.bit_width, left.is_signed || right.is_signed, false});
}

QuantTensor negate(const QuantTensor& a) {
  IntFormat format = integers_of("negate", a);
  check_ungrouped("negate", a);
  if (!format.is_signed) format = {format.bit_width + 1, true, format.narrow_range};
  return integer_tensor(a.value.neg(), a.scale, negated(a.zero_point), format);
}

QuantTensor absolute(const QuantTensor& a) {
  IntFormat format = integers_of("absolute", a);
  check_ungrouped("absolute", a);
  check_symmetric("absolute", a);
  if (format.is_signed) format = {format.bit_width - 1, false, false};
  return integer_tensor(a.value.abs(), a.scale, {}, format);
}

QuantTensor relu(const QuantTensor& a) { return with_value(a, a.value.clamp_min(0)); }

QuantTensor clamp(const QuantTensor& a, double low, double high) {
  return with_value(a, a.value.clamp(low, high));
}

bool is_valid(const QuantTensor& a) {
  const auto [q_min, q_max] = wide_code_range(integers_of("is_valid", a));
  const auto value = grouped(a.value.detach(), a.granularity).to(c10::ScalarType::Double);
  const auto real = value / a.scale.detach() + zero_or_none(a).detach();
  const double reach = tolerance_of(a.value.scalar_type());
  const auto whole = real.round();
  return (real - whole)
      .abs()
      .lt(reach)
      .logical_and(whole.ge(static_cast<double>(q_min)))
      .logical_and(whole.le(static_cast<double>(q_max)))
      .all()
      .item<bool>();
}

}  // namespace laconic
