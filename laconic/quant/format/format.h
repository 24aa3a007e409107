#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "laconic/quant/format/choice.h"
#include "laconic/quant/format/complex_signs.h"
#include "laconic/quant/format/int.h"
#include "laconic/quant/format/minifloat.h"
#include "laconic/quant/format/plane_sum.h"
#include "laconic/quant/format/sign.h"
#include "laconic/quant/format/table.h"

namespace laconic {

/// The numbers that there are, in units of the scale: elements. Each has a code of stored_bits.
/// For integers the code is the number; for others it is a bit pattern from 0 on.
using Format =
    std::variant<IntFormat, BinaryFormat, TernaryFormat, MinifloatFormat, TableFormat,
                 PowerSumFormat, ChoiceFormat, PlaneSumFormat, ComplexSignsFormat, CustomFormat>;

// A part has these overloads, which the functions below call: check_format_kind, describe_format,
// format_values; and those of format_bits (default: the least that count the values), format_range
// (default: smallest and largest value), format_elements (default: nearest value by the rounding)
// and format_codes (default: place among the values) that it does otherwise.

/// Smallest and largest element. Infinity and NaN do not count.
ElementRange element_range(const Format& format);

/// Smallest and largest code: whole numbers for integers, else 0 and how many codes there are
/// less one.
struct CodeRange {
  int64_t q_min, q_max;
  bool operator==(const CodeRange&) const = default;
};
CodeRange code_range(const Format& format);

/// Bits that a stored code takes.
int64_t stored_bits(const Format& format);

/// Whether a code alone says no number: it takes what QuantParameters keep beside the scale
/// (ChoiceFormat, PlaneSumFormat, ComplexSignsFormat).
bool is_joint(const Format& format);

/// How many scales an element needs beside its own, QuantParameters::plane_scales: those of the
/// planes after the first, or of imaginary parts.
int64_t scales_beside(const Format& format);

/// Whether codes are negative too: signed integers.
bool has_negative_codes(const Format& format);

/// The number of each code, from code_range's q_min on; of a ChoiceFormat those of all its tables.
/// NaN and infinity where a code is such.
std::vector<double> values(const Format& format);

/// Real numbers in units of the scale -> elements, floating: rounded to the format and clamped to
/// the rule's bounds, with the gradients of both. NaN stays NaN.
at::Tensor elements_of_real(const Format& format, const at::Tensor& real, const ElementRule& rule);

/// Codes of elements: int8 for signed integers of at most 8 bits, uint8 for other codes of at most
/// 8 bits, else int32.
/// @param elements  numbers of the format exactly, floating.
/// @throws c10::ValueError for a number that the format does not have, where that is looked up.
at::Tensor encode(const Format& format, const at::Tensor& elements);

/// Back: the element of each code, as `dtype`. @throws c10::ValueError for a code out of range,
/// c10::NotImplementedError for a format that is_joint.
at::Tensor decode(const Format& format, const at::Tensor& codes, c10::ScalarType dtype);

/// "int4", "e4m3", "table of 16"
std::string describe(const Format& format);

/// @throws c10::ValueError for a format that cannot be: 0 bits, an exponent of 0 bits, a table of
/// one number, ...
void check_format(const Format& format);

/// Formats that have a word of their own in YAML: {"e4m3", e4m3()}, {"nf4", nf4()}, ...
const std::vector<std::pair<std::string, Format>>& named_formats();

}  // namespace laconic
