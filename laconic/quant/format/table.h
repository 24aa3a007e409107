#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "laconic/quant/custom/custom.h"
#include "laconic/quant/format/element.h"

namespace laconic {

/// Any list of numbers; the code is the place in the list, counted from 0. 0 and -0 are two codes
/// of one number.
struct TableFormat {
  static constexpr std::string_view kName = "table";
  std::vector<double> values = {-1, 0, 1};  ///< 2 to 65536, finite, no two alike
  bool operator==(const TableFormat&) const = default;
};

/// Signed sums of powers: with `terms` 1 the numbers 0 and +-r^-k, with more the sums of one choice
/// of {0, r^-k} a term, the terms taking turns through the exponents k; r = 2^(1 / root). Scaled so
/// that the largest is 1. The largest b bits hold are used; the code is sign, then place by size.
/// APoT (Li et al. 2020, arXiv:1909.13144) with root 1; powers of the root of two (POST, 2025,
/// arXiv:2504.17263) with root 2. We take the nearest number, POST the nearest exponent.
struct PowerSumFormat {
  static constexpr std::string_view kName = "power_sum";
  int64_t bit_width = 4;  ///< 2 to 8, the sign among them
  int64_t terms = 1;      ///< divides bit_width - 1
  int64_t root = 1;       ///< 1: powers of 2; 2: of its square root
  bool operator==(const PowerSumFormat&) const = default;
};

/// A format of a user's own: its numbers, as those of TableFormat.
struct FormatKind {
  static constexpr std::string_view kWord = "format";
  using Function = std::vector<double>(const CustomParameters& parameters);
};
using CustomFormat = Custom<FormatKind>;

/// 4 bits whose numbers are equally likely under a normal distribution (QLoRA, arXiv:2305.14314).
TableFormat nf4();
/// The 4-bit floats of the same library: sign, two exponent bits, one of mantissa, largest 1.
TableFormat fp4();
/// 4 bits of least expected |error| for blocks of 64 normal numbers (arXiv:2306.06965).
TableFormat af4();

/// A table as rounding wants it.
struct Grid {
  std::vector<double> sorted;  ///< ascending, no two alike
  int64_t zero;                ///< place of the element nearest to 0: even places count from it
};
Grid make_grid(const std::vector<double>& values);

/// The element of `grid` that rounding chooses between the two neighbours of each number, clamped
/// to the ends first. Ties of half_even go to the even place.
at::Tensor grid_elements(const Grid& grid, const at::Tensor& real, const ElementRule& rule);

/// Smallest number of the dtype of `like` that is rounded up over each gap of the grid by
/// half_even: the element's place is how many of these a number reaches. [elements - 1].
at::Tensor grid_thresholds(const Grid& grid, const at::Tensor& like);

/// Place of each element in `values`, int32. @throws c10::ValueError for a number not in it.
at::Tensor places_in(const std::vector<double>& values, const at::Tensor& elements);

// The functions of a format: see format.h.
void check_format_kind(const TableFormat& format);
void check_format_kind(const PowerSumFormat& format);
void check_format_kind(const CustomFormat& format);
std::string describe_format(const TableFormat& format);
std::string describe_format(const PowerSumFormat& format);
std::string describe_format(const CustomFormat& format);
std::vector<double> format_values(const TableFormat& format);
std::vector<double> format_values(const PowerSumFormat& format);
std::vector<double> format_values(const CustomFormat& format);

}  // namespace laconic
