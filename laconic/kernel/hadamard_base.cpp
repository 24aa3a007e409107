#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/kron.h>
#include <ATen/ops/ones.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <string_view>
#include <vector>

#include "laconic/kernel/hadamard.h"

namespace laconic::kernel {
namespace {

// In the order in which they are tried.
constexpr std::array<int64_t, 12> kBases = {172, 156, 152, 140, 108, 60, 52, 36, 28, 40, 20, 12};

// First rows of Williamson's four symmetric circulant matrices.
struct WilliamsonRows {
  int64_t order;
  std::array<std::string_view, 4> rows;
};
constexpr WilliamsonRows kWilliamson[] = {
    {52, {"+-+--++++--+-", "+---++++++---", "++-+--++--+-+", "+----+--+----"}},
    {156,
     {"+++--+-+-----+--++----++--+-----+-+--++", "++++---+--++----+-+--+-+----++--+---+++",
      "+++--++-+---+-+--+----+--+-+---+-++--++", "+---++-+-+-----+++-++-+++-----+-+-++---"}},
    {172,
     {"+---++--++++-+-+++-++--++-+++-+-++++--++---", "++-++++++----+-+--++-++-++--+-+----++++++-+",
      "+++-+-++--+-+-++++-+----+-++++-+-+--++-+-++",
      "++---++++-+--+--++--------++--+--+-++++---+"}},
};

using Entry = std::function<double(int64_t row, int64_t column)>;

at::Tensor filled(int64_t order, const Entry& entry) {
  auto matrix = at::empty({order, order}, at::kFloat);
  auto cells = matrix.accessor<float, 2>();
  for (int64_t i = 0; i < order; ++i)
    for (int64_t j = 0; j < order; ++j) cells[i][j] = static_cast<float>(entry(i, j));
  return matrix;
}

/// Legendre's symbols of 0 to q - 1, q a prime: 1 for a square, -1 for none, 0 for 0.
std::vector<double> legendre_symbols(int64_t q) {
  std::vector<double> symbols(static_cast<size_t>(q), -1.0);
  symbols[0] = 0;
  for (int64_t i = 1; i < q; ++i) symbols[static_cast<size_t>(i * i % q)] = 1.0;
  return symbols;
}

/// q = order - 1 a prime, 3 modulo 4.
at::Tensor paley_one(int64_t order) {
  const int64_t q = order - 1;
  const auto symbols = legendre_symbols(q);
  return filled(order, [&](int64_t i, int64_t j) {
    if (i == j || j == 0) return 1.0;
    return i == 0 ? -1.0 : -symbols[static_cast<size_t>((j - i + q) % q)];
  });
}

/// q = order / 2 - 1 a prime, 1 modulo 4: [[C + I, C - I], [C - I, -C - I]] with the symmetric
/// conference matrix C.
at::Tensor paley_two(int64_t order) {
  const int64_t half = order / 2, q = half - 1;
  const auto symbols = legendre_symbols(q);
  return filled(order, [&](int64_t i, int64_t j) {
    const int64_t a = i % half, b = j % half;
    const bool left = j < half, upper = i < half;
    if (a == b) return upper && left ? 1.0 : -1.0;
    const double c = a == 0 || b == 0 ? 1.0 : symbols[static_cast<size_t>((b - a + q) % q)];
    return upper || left ? c : -c;
  });
}

at::Tensor williamson(const WilliamsonRows& rows) {
  // Which of the four stands where, and its sign.
  constexpr int kWhich[4][4] = {{0, 1, 2, 3}, {1, 0, 3, 2}, {2, 3, 0, 1}, {3, 2, 1, 0}};
  constexpr int kSign[4][4] = {{1, 1, 1, 1}, {-1, 1, -1, 1}, {-1, 1, 1, -1}, {-1, -1, 1, 1}};
  const int64_t side = rows.order / 4;
  return filled(rows.order, [&](int64_t i, int64_t j) {
    const auto& row = rows.rows.at(kWhich[i / side][j / side]);
    const char sign = row.at(static_cast<size_t>((j % side - i % side + side) % side));
    return (sign == '+' ? 1.0 : -1.0) * kSign[i / side][j / side];
  });
}

bool is_power_of_two(int64_t n) { return n > 0 && (n & (n - 1)) == 0; }

}  // namespace

std::optional<HadamardOrder> hadamard_order(int64_t n) {
  for (const int64_t base : kBases)
    if (n % base == 0 && is_power_of_two(n / base)) return HadamardOrder{base, n / base};
  if (is_power_of_two(n)) return HadamardOrder{1, n};
  return std::nullopt;
}

at::Tensor hadamard_base(int64_t order) {
  TORCH_CHECK_VALUE(std::find(kBases.begin(), kBases.end(), order) != kBases.end(),
                    "[hadamard_base] expected one of the orders 12, 20, 28, 36, 40, 52, 60, 108, "
                    "140, 152, 156, 172, got ",
                    order, ".");
  for (const WilliamsonRows& rows : kWilliamson)
    if (rows.order == order) return williamson(rows);
  if (order == 40) {
    auto two = at::ones({2, 2}, at::kFloat);
    two[1][1].fill_(-1);
    return at::kron(two, paley_one(20));
  }
  return order == 28 || order == 36 ? paley_two(order) : paley_one(order);
}

std::vector<int64_t> larger_hadamard_orders(int64_t n, int64_t steps) {
  std::vector<int64_t> found;
  while (static_cast<int64_t>(found.size()) < steps) {
    int64_t least = std::numeric_limits<int64_t>::max();
    for (int64_t order : kBases) {
      while (order <= n) order *= 2;
      least = std::min(least, order);
    }
    found.push_back(least);
    n = least;
  }
  return found;
}

}  // namespace laconic::kernel
