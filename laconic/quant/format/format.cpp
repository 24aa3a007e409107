#include "laconic/quant/format/format.h"

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <bit>
#include <cmath>

namespace laconic {
namespace {

using c10::ScalarType;

ElementRange range_of_values(const std::vector<double>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return {*low, *high};
}

// What a kind does not say itself follows from its values.
template <typename Kind>
int64_t bits_of(const Kind& kind) {
  if constexpr (requires { format_bits(kind); }) {
    return format_bits(kind);
  } else {
    return static_cast<int64_t>(std::bit_width(format_values(kind).size() - 1));
  }
}

template <typename Kind>
ElementRange range_of(const Kind& kind) {
  if constexpr (requires { format_range(kind); }) {
    return format_range(kind);
  } else {
    return range_of_values(format_values(kind));
  }
}

template <typename Kind>
at::Tensor elements_of(const Kind& kind, const at::Tensor& real, const ElementRule& rule) {
  if constexpr (requires { format_elements(kind, real, rule); }) {
    return format_elements(kind, real, rule);
  } else {
    return grid_elements(make_grid(format_values(kind)), real, rule);
  }
}

template <typename Kind>
at::Tensor codes_of_elements(const Kind& kind, const at::Tensor& elements) {
  if constexpr (requires { format_codes(kind, elements); }) {
    return format_codes(kind, elements);
  } else {
    return places_in(format_values(kind), elements)
        .to(bits_of(kind) > 8 ? ScalarType::Int : ScalarType::Byte);
  }
}

}  // namespace

ElementRange element_range(const Format& format) {
  return std::visit([](const auto& kind) { return range_of(kind); }, format);
}

CodeRange code_range(const Format& format) {
  if (const auto* kind = std::get_if<IntFormat>(&format)) {
    const auto [low, high] = format_range(*kind);
    return {static_cast<int64_t>(low), static_cast<int64_t>(high)};
  }
  const auto* choice = std::get_if<ChoiceFormat>(&format);
  if (std::holds_alternative<ComplexSignsFormat>(format)) return {0, 1};
  const size_t count = choice != nullptr ? choice->tables.front().size() : values(format).size();
  return {0, static_cast<int64_t>(count) - 1};
}

int64_t stored_bits(const Format& format) {
  return std::visit([](const auto& kind) { return bits_of(kind); }, format);
}

bool is_joint(const Format& format) {
  return std::holds_alternative<ChoiceFormat>(format) || scales_beside(format) > 0;
}

int64_t scales_beside(const Format& format) {
  if (const auto* planes = std::get_if<PlaneSumFormat>(&format)) return planes->planes - 1;
  return std::holds_alternative<ComplexSignsFormat>(format) ? 1 : 0;
}

bool has_negative_codes(const Format& format) {
  const auto* kind = std::get_if<IntFormat>(&format);
  return kind != nullptr && kind->is_signed;
}

std::vector<double> values(const Format& format) {
  return std::visit([](const auto& kind) { return format_values(kind); }, format);
}

at::Tensor elements_of_real(const Format& format, const at::Tensor& real, const ElementRule& rule) {
  return std::visit([&](const auto& kind) { return elements_of(kind, real, rule); }, format);
}

at::Tensor encode(const Format& format, const at::Tensor& elements) {
  return std::visit([&](const auto& kind) { return codes_of_elements(kind, elements); }, format);
}

at::Tensor decode(const Format& format, const at::Tensor& codes, ScalarType dtype) {
  if (std::holds_alternative<IntFormat>(format)) return codes.to(dtype);
  if (is_joint(format)) return encode(format, codes);  // which says why it cannot
  const auto table = values(format);
  const auto last = static_cast<int64_t>(table.size()) - 1;
  const auto place = codes.to(ScalarType::Long);
  TORCH_CHECK_VALUE(place.ge(0).logical_and(place.le(last)).all().item<bool>(),
                    "[format] codes of ", describe(format), ": expected 0 to ", last,
                    ", got others.");
  return at::tensor(table, at::TensorOptions().dtype(ScalarType::Double))
      .to(codes.device(), dtype)
      .index({place});
}

std::string describe(const Format& format) {
  for (const auto& [name, named] : named_formats()) {
    if (named == format) return name;
  }
  return std::visit([](const auto& kind) { return describe_format(kind); }, format);
}

void check_format(const Format& format) {
  std::visit([](const auto& kind) { check_format_kind(kind); }, format);
}

const std::vector<std::pair<std::string, Format>>& named_formats() {
  static const std::vector<std::pair<std::string, Format>> formats = {
      {"e4m3", e4m3()},
      {"e5m2", e5m2()},
      {"e3m2", e3m2()},
      {"e2m3", e2m3()},
      {"e2m1", e2m1()},
      {"e8m0", e8m0()},
      {"e4m3_fnuz", e4m3_fnuz()},
      {"e5m2_fnuz", e5m2_fnuz()},
      {"nf4", nf4()},
      {"fp4", fp4()},
      {"af4", af4()},
      {"bitmod3", bitmod_tables(3)},
      {"bitmod4", bitmod_tables(4)},
      {"two_binary", PlaneSumFormat{}},
      {"two_ternary", PlaneSumFormat{2, Plane::kTernary, 5}}};
  return formats;
}

}  // namespace laconic
