#pragma once

#include <ATen/core/ATen_fwd.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace laconic::kernel {

/// n = base * power: the Hadamard matrix of order n is H_base (x) H_power, with Sylvester's H_power
/// (power a power of two) and a matrix of the list for the base (1 when n is a power of two).
struct HadamardOrder {
  int64_t base = 1, power = 1;
};

/// How order n is reached; nothing when it is not. Of several bases the largest, but 28 and 36
/// before 40: the order in which published models were rotated.
std::optional<HadamardOrder> hadamard_order(int64_t n);

/// The matrix of one of the orders 12, 20, 28, 36, 40, 52, 60, 108, 140, 152, 156, 172: [order,
/// order] float32 of +1 and -1, H H^T = order * I. By Paley's two constructions (order - 1 or
/// order / 2 - 1 a prime), Williamson's, and doubling.
/// @throws c10::ValueError for another order.
at::Tensor hadamard_base(int64_t order);

/// The `steps` smallest orders above n that have one of these bases, ascending.
std::vector<int64_t> larger_hadamard_orders(int64_t n, int64_t steps);

/// Every run of `size` elements of the last dimension becomes H run / sqrt(size), an orthogonal
/// map. In n log n steps for the power of two, one pass over memory on the CPU; differentiable.
/// @param x     [..., n], floating, `size` divides n.
/// @throws c10::ValueError when `size` is no order that can be reached or does not divide n.
at::Tensor hadamard(const at::Tensor& x, int64_t size);

/// The same by the whole matrix: what `hadamard` is tested against.
at::Tensor hadamard_matrix(int64_t size);

}  // namespace laconic::kernel
