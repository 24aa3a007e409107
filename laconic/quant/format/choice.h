#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "laconic/quant/format/element.h"

namespace laconic {

/// For the elements of each scale the one of several tables that loses least (BitMoD 2024,
/// arXiv:2411.11745); the code is the place in that table. Which table a scale has is kept beside
/// it (QuantParameters::choice), so only whole quantizers (quantizer/quantize.h) turn numbers into
/// codes and back: elements_of_real, encode and decode refuse this format.
struct ChoiceFormat {
  static constexpr std::string_view kName = "choice";
  std::vector<std::vector<double>> tables = {
      {-1, 0, 1}, {-1, 0, 0.5}};  ///< 2 to 256 tables of as many numbers each, as TableFormat's
  bool operator==(const ChoiceFormat&) const = default;
};

/// BitMoD's tables of 3 or 4 bits: {0, +-1, +-2, +-4} with one of +-3, +-6 more, and the magnitudes
/// 0, 1, 2, 3, 4, 6, 8, 12 with one of +-10, +-16 more. Meant for Threshold::kFullRange.
/// @throws c10::ValueError for other bits.
ChoiceFormat bitmod_tables(int64_t bits);

/// Bits that say which table a scale has.
int64_t choice_bits(const ChoiceFormat& format);

// The functions of a format: see format.h.
void check_format_kind(const ChoiceFormat& format);
std::string describe_format(const ChoiceFormat& format);
std::vector<double> format_values(
    const ChoiceFormat& format);  ///< of all tables, one after another
int64_t format_bits(const ChoiceFormat& format);
at::Tensor format_elements(const ChoiceFormat& format, const at::Tensor& real,
                           const ElementRule& rule);
at::Tensor format_codes(const ChoiceFormat& format, const at::Tensor& elements);

}  // namespace laconic
