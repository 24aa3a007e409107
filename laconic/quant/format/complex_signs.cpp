#include "laconic/quant/format/complex_signs.h"

#include <ATen/ops/complex.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/imag.h>
#include <ATen/ops/real.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include "laconic/kernel/straight_through.h"

namespace laconic {
namespace {

using c10::ScalarType;

// Mean of |x| where `chosen`; 0 where nothing is.
at::Tensor mean_where(const at::Tensor& x, const at::Tensor& chosen) {
  const auto weight = chosen.to(x.scalar_type());
  return (x.abs() * weight).sum() / weight.sum().clamp_min(1);
}

at::Tensor refuse_parts() {
  TORCH_CHECK_NOT_IMPLEMENTED(
      false,
      "[format] complex_signs: a number is worth what its neighbour allows. "
      "Use a whole quantizer (quantize_codes, dequantize), or a table.");
}

}  // namespace

at::Tensor complex_sign_codes(const at::Tensor& re, const at::Tensor& im) {
  const auto code = [&](int64_t value) { return at::full_like(re, value).to(ScalarType::Byte); };
  const auto zero = re.eq(0).logical_and(im.eq(0));
  const auto east = re.gt(0).logical_and(im.ge(-re)).logical_and(im.lt(re)).logical_or(zero);
  const auto north = im.gt(0).logical_and(re.le(im)).logical_and(re.gt(-im));
  const auto south = im.lt(0).logical_and(re.ge(im)).logical_and(re.lt(-im));
  return at::where(east, code(0), at::where(north, code(1), at::where(south, code(3), code(2))));
}

ComplexSigns quantize_complex_signs(const at::Tensor& x) {
  TORCH_CHECK_TYPE(x.is_complex(), "[complex_signs] expected a complex tensor, got ",
                   x.scalar_type(), ".");
  const auto plain = x.detach(), re = at::real(plain), im = at::imag(plain);
  ComplexSigns found;
  found.codes = complex_sign_codes(re, im);
  const auto is_imag = found.codes.bitwise_and(1).eq(1), is_real = is_imag.logical_not();
  found.scale = mean_where(re, is_real), found.scale_imag = mean_where(im, is_imag);
  const auto sign = at::where(found.codes.ge(2), at::full_like(re, -1), at::full_like(re, 1));
  const auto zero = at::zeros_like(re);
  const auto value = at::complex(at::where(is_real, sign * found.scale, zero),
                                 at::where(is_imag, sign * found.scale_imag, zero));
  found.value = straight_through(x, value);
  return found;
}

at::Tensor decode_complex_signs(const at::Tensor& codes) {
  TORCH_CHECK_VALUE(codes.ge(0).logical_and(codes.le(3)).all().item<bool>(),
                    "[complex_signs] codes: expected 0 to 3, got others.");
  const auto sign = (codes.ge(2).to(ScalarType::Float) * -2 + 1);
  const auto imaginary = codes.to(ScalarType::Long).bitwise_and(1).to(ScalarType::Float);
  return at::complex(sign * (1 - imaginary), sign * imaginary);
}

void check_format_kind(const ComplexSignsFormat&) {}

std::string describe_format(const ComplexSignsFormat&) { return "complex signs"; }

std::vector<double> format_values(const ComplexSignsFormat&) { return {-1, 0, 1}; }

int64_t format_bits(const ComplexSignsFormat&) { return 1; }

at::Tensor format_elements(const ComplexSignsFormat&, const at::Tensor&, const ElementRule&) {
  return refuse_parts();
}

at::Tensor format_codes(const ComplexSignsFormat&, const at::Tensor&) { return refuse_parts(); }

}  // namespace laconic
