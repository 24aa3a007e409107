#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "laconic/quant/format/element.h"

namespace laconic {

/// Complex numbers of two bits: 1, i, -1, -i (codes 0 to 3) times a scale for the real ones and one
/// for the imaginary ones (iFairy 2025, arXiv:2508.05571).
struct ComplexSigns {
  at::Tensor value;  ///< complex, in the shape of the tensor; the gradient passes through
  at::Tensor codes;  ///< uint8; pack_rows(codes, 2) packs rows of them
  at::Tensor scale, scale_imag;  ///< 0-dim, mean |Re x| over codes 0 and 2, mean |Im x| over 1 and
                                 ///< 3; 0 where there are none
};

/// Code by the phase of each number: 1 from -pi/4 on, i from pi/4, -1 from 3 pi/4, -i from -3 pi/4;
/// the phase of 0 is 0.
/// @param x  complex64 or complex128. @throws c10::TypeError for another dtype.
ComplexSigns quantize_complex_signs(const at::Tensor& x);

/// The codes alone, uint8. @param re, im  of one shape, floating
at::Tensor complex_sign_codes(const at::Tensor& re, const at::Tensor& im);

/// 1, i, -1, -i of each code, complex64. @throws c10::ValueError for a code over 3.
at::Tensor decode_complex_signs(const at::Tensor& codes);

/// Consecutive numbers of the last axis, taken as real and imaginary part (as torch.view_as_real
/// lays them), as one of 1, i, -1, -i, with the codes of ComplexSigns: a bit each, the lower one
/// first. Real and imaginary parts have scales of their own, those of the imaginary ones kept in
/// QuantParameters::plane_scales, so only whole quantizers (quantizer/quantize.h) turn numbers into
/// codes and back: elements_of_real, encode and decode refuse this format.
struct ComplexSignsFormat {
  static constexpr std::string_view kName = "complex_signs";
  bool operator==(const ComplexSignsFormat&) const = default;
};

// The functions of a format: see format.h.
void check_format_kind(const ComplexSignsFormat& format);
std::string describe_format(const ComplexSignsFormat& format);
std::vector<double> format_values(const ComplexSignsFormat& format);  ///< -1, 0, 1
int64_t format_bits(const ComplexSignsFormat& format);                ///< 1, of each part
at::Tensor format_elements(const ComplexSignsFormat& format, const at::Tensor& real,
                           const ElementRule& rule);
at::Tensor format_codes(const ComplexSignsFormat& format, const at::Tensor& elements);

}  // namespace laconic
