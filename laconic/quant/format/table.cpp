#include "laconic/quant/format/table.h"

#include <ATen/ops/bucketize.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "laconic/kernel/straight_through.h"

namespace laconic {
namespace {

constexpr size_t kMostValues = 65536;

// Orders -0 before 0, so that equal neighbours are equal bits.
bool comes_before(double a, double b) {
  return a < b || (a == b && std::signbit(a) && !std::signbit(b));
}

std::vector<double> sorted_values(std::vector<double> values) {
  std::sort(values.begin(), values.end(), comes_before);
  return values;
}

void check_values(const std::vector<double>& values, const std::string& who) {
  TORCH_CHECK_VALUE(values.size() >= 2 && values.size() <= kMostValues, "[format] ", who,
                    ": expected 2 to ", kMostValues, " values, got ", values.size(), ".");
  for (const double value : values) {
    TORCH_CHECK_VALUE(std::isfinite(value) && std::abs(value) <= 1e30, "[format] ", who,
                      ": expected finite values up to 1e30, got ", value, ".");
  }
  const auto sorted = sorted_values(values);
  for (size_t i = 1; i < sorted.size(); ++i) {
    TORCH_CHECK_VALUE(
        comes_before(sorted[i - 1], sorted[i]) &&
            (sorted[i] == 0 || static_cast<float>(sorted[i - 1]) < static_cast<float>(sorted[i])),
        "[format] ", who, ": the value ", sorted[i],
        " is there twice (as float32). Leave one out.");
  }
  TORCH_CHECK_VALUE(sorted.front() < sorted.back(), "[format] ", who,
                    ": expected two different values, got ", sorted.front(), " alone.");
}

// The sums of one choice of each term's powers, ascending, the largest 1.
std::vector<double> magnitudes(const PowerSumFormat& format) {
  const int64_t bits = (format.bit_width - 1) / format.terms, choices = int64_t{1} << bits;
  std::vector<double> sums = {0};
  for (int64_t term = 0; term < format.terms; ++term) {
    std::vector<double> longer;
    for (const double sum : sums) {
      longer.push_back(sum);
      for (int64_t k = 0; k + 1 < choices; ++k) {
        const auto exponent = static_cast<double>(term + k * format.terms);
        longer.push_back(sum + std::exp2(-exponent / static_cast<double>(format.root)));
      }
    }
    sums = std::move(longer);
  }
  std::sort(sums.begin(), sums.end());
  sums.erase(std::unique(sums.begin(), sums.end()), sums.end());
  const double largest = sums.back();
  for (double& sum : sums) sum /= largest;
  return sums;
}

at::Tensor tensor_of(const std::vector<double>& values, const at::Tensor& like) {
  return at::tensor(values, at::TensorOptions().dtype(c10::ScalarType::Double)).to(like.device());
}

// Whether the smaller of two equally near neighbours is even: its place counted from zero.
bool is_even(const Grid& grid, size_t place) {
  return (static_cast<int64_t>(place) - grid.zero) % 2 == 0;
}

template <typename Number>
std::vector<double> thresholds_as(const Grid& grid) {
  std::vector<double> thresholds;
  for (size_t i = 0; i + 1 < grid.sorted.size(); ++i) {
    const double middle = (static_cast<double>(static_cast<Number>(grid.sorted[i])) +
                           static_cast<double>(static_cast<Number>(grid.sorted[i + 1]))) /
                          2;
    auto first = static_cast<Number>(middle);
    // The first number over the middle, or at it when the tie goes up.
    const auto exact = static_cast<double>(first);
    if (exact < middle || (exact == middle && is_even(grid, i)))
      first = std::nextafter(first, std::numeric_limits<Number>::infinity());
    thresholds.push_back(static_cast<double>(first));
  }
  return thresholds;
}

at::Tensor nearest(const Grid& grid, const at::Tensor& real) {
  const auto place = at::bucketize(real.detach(), grid_thresholds(grid, real), /*out_int32=*/false,
                                   /*right=*/true);
  return tensor_of(grid.sorted, real).to(real.scalar_type()).index({place});
}

// Any rounding: of the real place, counted from zero, between the two neighbours.
at::Tensor rounded_place(const Grid& grid, const at::Tensor& real, const ElementRule& rule) {
  const auto wide = real.to(c10::ScalarType::Double);
  const auto sorted = tensor_of(grid.sorted, real);
  const auto last = static_cast<int64_t>(grid.sorted.size()) - 2;
  const auto lower = (at::bucketize(wide.detach(), sorted, /*out_int32=*/false, /*right=*/true) - 1)
                         .clamp(0, last);
  const auto low = sorted.index({lower}), high = sorted.index({lower + 1});
  const auto whole = (lower - grid.zero).to(c10::ScalarType::Double);
  const auto part =
      apply_rounding(rule.rounding, whole + (wide - low) / (high - low), rule.state) - whole;
  return (low * (1 - part) + high * part).to(real.scalar_type());
}

}  // namespace

TableFormat nf4() {
  return {{-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
           -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
           0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
           0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0}};
}

TableFormat fp4() {
  const std::vector<double> twelfths = {0, 0.0625, 8, 12, 4, 6, 2, 3};
  TableFormat format{{}};
  for (const double sign : {1.0, -1.0}) {
    for (const double twelfth : twelfths) format.values.push_back(sign * twelfth / 12);
  }
  return format;
}

TableFormat af4() {
  return {{-1.0, -0.69441008, -0.51243739, -0.3736951, -0.25607552, -0.14982478, -0.04934812, 0.0,
           0.04273164, 0.12934483, 0.21961274, 0.31675666, 0.42563882, 0.55496234, 0.72424863,
           1.0}};
}

Grid make_grid(const std::vector<double>& values) {
  Grid grid{sorted_values(values), 0};
  auto& sorted = grid.sorted;
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());  // -0 is 0
  for (size_t i = 0; i < sorted.size(); ++i) {
    if (std::abs(sorted[i]) < std::abs(sorted[static_cast<size_t>(grid.zero)]))
      grid.zero = static_cast<int64_t>(i);
  }
  return grid;
}

at::Tensor grid_thresholds(const Grid& grid, const at::Tensor& like) {
  const bool wide = like.scalar_type() == c10::ScalarType::Double;
  return tensor_of(wide ? thresholds_as<double>(grid) : thresholds_as<float>(grid), like)
      .to(wide ? c10::ScalarType::Double : c10::ScalarType::Float);
}

at::Tensor grid_elements(const Grid& grid, const at::Tensor& real, const ElementRule& rule) {
  const auto inside = apply_clamp(rule.gradient, real, rule.bounds.q_min, rule.bounds.q_max);
  const auto rounded = std::holds_alternative<HalfEven>(rule.rounding)
                           ? straight_through(inside, nearest(grid, inside))
                           : rounded_place(grid, inside, rule);
  // Of 0 and -0 the one on the number's own side.
  const auto plain = rounded.detach();
  const auto chosen = at::where(plain.eq(0), inside.detach() * 0, plain);
  return straight_through(rounded, at::where(real.detach().isnan(), real.detach(), chosen));
}

at::Tensor places_in(const std::vector<double>& values, const at::Tensor& elements) {
  std::vector<int64_t> order(values.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return comes_before(values[static_cast<size_t>(a)], values[static_cast<size_t>(b)]);
  });
  std::vector<double> sorted;
  for (const int64_t place : order) sorted.push_back(values[static_cast<size_t>(place)]);
  const auto number = elements.detach();
  const auto list = tensor_of(sorted, elements).to(number.scalar_type());
  const auto last = static_cast<int64_t>(sorted.size()) - 1;
  // The last value that is not more: with 0 and -0 it is 0, and -0 the one before.
  auto found =
      (at::bucketize(number, list, /*out_int32=*/false, /*right=*/true) - 1).clamp(0, last);
  const bool two_zeros = std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end();
  if (two_zeros) found = at::where(number.eq(0).logical_and(number.signbit()), found - 1, found);
  const auto exact = list.index({found}).eq(number);
  TORCH_CHECK_VALUE(exact.all().item<bool>(), "[format] expected numbers of the format, got ",
                    number.masked_select(exact.logical_not()).numel(),
                    " others. Round them to the format first.");
  return tensor_of(std::vector<double>(order.begin(), order.end()), elements)
      .to(c10::ScalarType::Int)
      .index({found});
}

void check_format_kind(const TableFormat& format) { check_values(format.values, "values"); }

void check_format_kind(const PowerSumFormat& format) {
  TORCH_CHECK_VALUE(format.bit_width >= 2 && format.bit_width <= 8,
                    "[format] power_sum: expected bits from 2 to 8, got ", format.bit_width, ".");
  TORCH_CHECK_VALUE(format.terms >= 1 && (format.bit_width - 1) % format.terms == 0,
                    "[format] power_sum: expected terms that divide bits - 1, got ", format.terms,
                    " for bits ", format.bit_width, ". Choose another of the two.");
  TORCH_CHECK_VALUE(format.root == 1 || format.root == 2,
                    "[format] power_sum: expected a root of 1 or 2, got ", format.root, ".");
}

void check_format_kind(const CustomFormat& format) {
  check_custom(format);
  check_values(format.function(format.parameters), format.name);
}

std::string describe_format(const TableFormat& format) {
  return "table of " + std::to_string(format.values.size());
}
std::string describe_format(const PowerSumFormat& format) {
  return std::to_string(format.bit_width) + "-bit powers of " +
         (format.root == 1 ? "2" : "the root of 2") +
         (format.terms > 1 ? ", sums of " + std::to_string(format.terms) : "");
}
std::string describe_format(const CustomFormat& format) { return format.name; }

std::vector<double> format_values(const TableFormat& format) { return format.values; }

std::vector<double> format_values(const PowerSumFormat& format) {
  const auto positive = magnitudes(format);
  std::vector<double> values = positive;
  for (const double value : positive) values.push_back(-value);
  return values;
}

std::vector<double> format_values(const CustomFormat& format) {
  return format.function(format.parameters);
}

}  // namespace laconic
