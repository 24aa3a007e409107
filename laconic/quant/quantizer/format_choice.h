#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "laconic/quant/quantizer/quantize.h"

namespace laconic {

/// For the elements of each scale the one of several formats that loses least (BitMoD 2024,
/// arXiv:2411.11745). All of one number of bits. Where the formats are tables a QuantSpec says the
/// same with a ChoiceFormat, and the functions of quantize.h call these.
struct FormatChoice {
  QuantSpec quantizer;          ///< all parts but the format
  std::vector<Format> formats;  ///< 2 to 256
  bool operator==(const FormatChoice&) const = default;
};

/// What a choice makes of a tensor.
struct ChosenTensor {
  at::Tensor value;            ///< in the shape of the tensor
  at::Tensor codes;            ///< in the shape of the tensor; of the format chosen
  QuantParameters parameters;  ///< of the format chosen, which `choice` in them says
};

/// BitMoD's tables of 3 or 4 bits (bitmod_tables).
FormatChoice bitmod(int64_t bits, int64_t group_size = 128);

/// The choice that a spec with a ChoiceFormat means.
FormatChoice choice_of(const QuantSpec& spec);

/// Parameters of the format that loses least for the elements of each scale, squared errors
/// weighted by `importance` (as find_parameters has it). Equal losses: the first of the formats.
/// @throws c10::ValueError for fewer than 2 formats or formats of several widths, and as
///         find_parameters.
QuantParameters find_parameters(const FormatChoice& choice, const at::Tensor& x,
                                const at::Tensor& importance = {});

// As those of quantize.h. @throws c10::ValueError for parameters without a choice, or one that is
// no place among the formats.
at::Tensor quantize_codes(const FormatChoice& choice, const at::Tensor& x,
                          const QuantParameters& parameters);
at::Tensor dequantize(const FormatChoice& choice, const at::Tensor& codes,
                      const QuantParameters& parameters);
at::Tensor fake_quantize_choice(const FormatChoice& choice, const at::Tensor& x,
                                const QuantParameters& parameters);

/// All of it at once.
ChosenTensor quantize(const FormatChoice& choice, const at::Tensor& x);

}  // namespace laconic
