#pragma once

#include <ATen/core/Tensor.h>

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

/// 1, i, -1, -i of each code, complex64. @throws c10::ValueError for a code over 3.
at::Tensor decode_complex_signs(const at::Tensor& codes);

}  // namespace laconic
