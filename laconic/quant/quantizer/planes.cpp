#include "laconic/quant/quantizer/planes.h"

#include <ATen/ops/linalg_svd.h>

#include <limits>

namespace laconic {
namespace {

void check_planes(const PlanesSpec& spec, const at::Tensor& x) {
  TORCH_CHECK_VALUE(!spec.planes.empty(), "[planes] expected a plane at least, got none.");
  TORCH_CHECK_VALUE(spec.rounds >= 0, "[planes] rounds: expected 0 or more, got ", spec.rounds,
                    ".");
  for (const QuantSpec& plane : spec.planes) check(plane);
  check_quantizable(x);
  if (spec.rank == 0) return;
  const bool fits = x.dim() == 2 && spec.rank > 0 && spec.rank <= std::min(x.size(0), x.size(1));
  TORCH_CHECK_VALUE(fits, "[planes] rank: expected a matrix with as many rows and columns at ",
                    "least, got rank ", spec.rank, " of shape ", x.sizes(),
                    ". Choose a smaller rank, or 0.");
}

// What the product and all planes but `left_out` leave of `x`.
at::Tensor residual(const at::Tensor& x, const PlanesTensor& tensor, size_t left_out) {
  at::Tensor left = x;
  if (tensor.left.defined()) left = left - tensor.left.mm(tensor.right);
  for (size_t i = 0; i < tensor.planes.size(); ++i) {
    if (i != left_out) left = left - tensor.planes[i].value;
  }
  return left;
}

double loss(const at::Tensor& x, const PlanesTensor& tensor) {
  constexpr auto kNone = std::numeric_limits<size_t>::max();
  return residual(x, tensor, kNone).square().sum().item<double>();
}

}  // namespace

PlanesSpec two_binary_planes(const Granularity& granularity) {
  const QuantSpec plane = QuantSpec{}.let(BinaryFormat{}, granularity, AbsAverage{});
  return {{plane, plane}, 0, 0};
}

PlanesSpec ternary_planes(int64_t count, const Granularity& granularity) {
  const QuantSpec plane = QuantSpec{}.let(TernaryFormat{}, granularity, AbsAverage{});
  return {std::vector<QuantSpec>(static_cast<size_t>(count), plane), 0, 5};
}

PlanesSpec low_rank(int64_t rank, const QuantSpec& residual) { return {{residual}, rank, 0}; }

PlanesTensor quantize_planes(const PlanesSpec& spec, const at::Tensor& x) {
  check_planes(spec, x);
  const bool is_double = x.scalar_type() == c10::ScalarType::Double;
  const auto real = is_double ? x.detach() : x.detach().to(c10::ScalarType::Float);
  PlanesTensor tensor;
  if (spec.rank > 0) {
    const auto [u, s, v] = at::linalg_svd(real, /*full_matrices=*/false);
    tensor.left = u.narrow(1, 0, spec.rank) * s.narrow(0, 0, spec.rank);
    tensor.right = v.narrow(0, 0, spec.rank).contiguous();
  }
  for (const QuantSpec& plane : spec.planes)
    tensor.planes.push_back(quantize(plane, residual(real, tensor, tensor.planes.size())));
  PlanesTensor best = tensor;
  double least = loss(real, tensor);
  for (int64_t round = 0; round < spec.rounds; ++round) {
    for (size_t i = 0; i < spec.planes.size(); ++i)
      tensor.planes[i] = quantize(spec.planes[i], residual(real, tensor, i));
    const double found = loss(real, tensor);
    if (!(found < least)) break;
    least = found;
    best = tensor;
  }
  return best;
}

at::Tensor value_of(const PlanesTensor& tensor) {
  at::Tensor sum = tensor.left.defined() ? tensor.left.mm(tensor.right) : at::Tensor();
  for (const QuantTensor& plane : tensor.planes)
    sum = sum.defined() ? sum + plane.value : plane.value;
  return sum;
}

int64_t bits_of(const PlanesSpec& spec) {
  int64_t bits = 0;
  for (const QuantSpec& plane : spec.planes) bits += stored_bits(plane.format);
  return bits;
}

}  // namespace laconic
