#include "laconic/quant/format/choice.h"

#include <c10/util/Exception.h>

#include <bit>

#include "laconic/quant/format/table.h"

namespace laconic {
namespace {

at::Tensor refuse_without_choice(const ChoiceFormat& format) {
  TORCH_CHECK_NOT_IMPLEMENTED(false, "[format] ", describe_format(format),
                              ": which table a number belongs to is known beside its scale. Use a "
                              "whole quantizer (quantize_codes, dequantize), or a table.");
}

}  // namespace

ChoiceFormat bitmod_tables(int64_t bits) {
  TORCH_CHECK_VALUE(bits == 3 || bits == 4, "[bitmod] bits: expected 3 or 4, got ", bits, ".");
  const std::vector<double> magnitudes =
      bits == 3 ? std::vector<double>{1, 2, 4} : std::vector<double>{1, 2, 3, 4, 6, 8, 12};
  const std::vector<double> specials =
      bits == 3 ? std::vector<double>{3, -3, 6, -6} : std::vector<double>{10, -10, 16, -16};
  ChoiceFormat format{{}};
  for (const double special : specials) {
    std::vector<double>& table = format.tables.emplace_back(1, 0.0);
    table.insert(table.end(), magnitudes.begin(), magnitudes.end());
    table.push_back(special);
    for (const double magnitude : magnitudes) table.push_back(-magnitude);
  }
  return format;
}

int64_t choice_bits(const ChoiceFormat& format) {
  return static_cast<int64_t>(std::bit_width(format.tables.size() - 1));
}

void check_format_kind(const ChoiceFormat& format) {
  TORCH_CHECK_VALUE(format.tables.size() >= 2 && format.tables.size() <= 256,
                    "[format] choice: expected 2 to 256 tables, got ", format.tables.size(), ".");
  for (const auto& table : format.tables) {
    check_format_kind(TableFormat{table});
    TORCH_CHECK_VALUE(table.size() == format.tables.front().size(),
                      "[format] choice: expected tables of as many numbers each, got one of ",
                      format.tables.front().size(), " and one of ", table.size(), ".");
  }
}

std::string describe_format(const ChoiceFormat& format) {
  return "choice of " + std::to_string(format.tables.size()) + " tables of " +
         std::to_string(format.tables.front().size());
}

std::vector<double> format_values(const ChoiceFormat& format) {
  std::vector<double> values;
  for (const auto& table : format.tables) values.insert(values.end(), table.begin(), table.end());
  return values;
}

int64_t format_bits(const ChoiceFormat& format) {
  return static_cast<int64_t>(std::bit_width(format.tables.front().size() - 1));
}

at::Tensor format_elements(const ChoiceFormat& format, const at::Tensor&, const ElementRule&) {
  return refuse_without_choice(format);
}

at::Tensor format_codes(const ChoiceFormat& format, const at::Tensor&) {
  return refuse_without_choice(format);
}

}  // namespace laconic
