#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "laconic/quant/quantizer/quantize.h"

namespace laconic {

/// For the elements of each scale the one of several formats that loses least (BitMoD 2024,
/// arXiv:2411.11745). All of one number of bits.
struct FormatChoice {
  QuantSpec quantizer;          ///< all parts but the format
  std::vector<Format> formats;  ///< 2 to 256
  bool operator==(const FormatChoice&) const = default;
};

/// What a choice makes of a tensor.
struct ChosenTensor {
  at::Tensor value;            ///< in the shape of the tensor
  at::Tensor codes;            ///< in the shape of the tensor; of the format chosen
  at::Tensor choice;           ///< place among the formats, uint8, in the shape of the scale
  QuantParameters parameters;  ///< of the format chosen
};

/// BitMoD's tables of 3 or 4 bits: {0, +-1, +-2, +-4} with one of +-3, +-6 more, and the magnitudes
/// 0, 1, 2, 3, 4, 6, 8, 12 with one of +-10, +-16 more.
FormatChoice bitmod(int64_t bits, int64_t group_size = 128);

/// Equal losses: the first of the formats.
/// @throws c10::ValueError for fewer than 2 formats or formats of several widths, and as
///         find_parameters.
ChosenTensor quantize(const FormatChoice& choice, const at::Tensor& x);

/// The values of codes, in the dtype of the scale.
at::Tensor dequantize(const FormatChoice& choice, const ChosenTensor& tensor);

}  // namespace laconic
