#include "laconic/graph/operators.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>
#include <torch/library.h>

#include <cmath>
#include <memory>
#include <vector>

#include "laconic/graph/define_operators.h"
#include "laconic/kernel/hadamard.h"

namespace laconic::graph {
namespace {

struct RopeTable {
  at::Tensor cosine, sine;  // [length, R/2]
};

// Every layer asks for the same table twice, so the last one of each thread is kept.
struct RopeKey {
  std::vector<double> frequencies;
  double scaling = 0;
  int64_t length = -1, offset = 0;
  at::TensorOptions options;
  bool matches(at::ArrayRef<double> f, double s, const at::Tensor& x, int64_t first) const {
    return length == x.size(-2) && offset == first && scaling == s &&
           at::ArrayRef<double>(frequencies).equals(f) && options.device() == x.device() &&
           options.dtype() == x.dtype();
  }
};

RopeTable make_table(at::ArrayRef<double> frequencies, double scaling, const at::Tensor& x,
                     int64_t offset) {
  // Angles in float32 whatever the dtype of x: bfloat16 has too few digits for positions.
  const auto options = at::TensorOptions().dtype(at::kFloat).device(x.device());
  const auto position = at::arange(offset, offset + x.size(-2), options);
  const auto angle = at::outer(
      position, at::tensor(frequencies, at::TensorOptions().dtype(at::kFloat)).to(x.device()));
  return {(angle.cos() * scaling).to(x.scalar_type()), (angle.sin() * scaling).to(x.scalar_type())};
}

RopeTable rope_table(at::ArrayRef<double> frequencies, double scaling, const at::Tensor& x,
                     int64_t offset) {
  thread_local RopeKey key;
  thread_local RopeTable table;
  if (x.is_meta()) return make_table(frequencies, scaling, x, offset);
  if (!key.matches(frequencies, scaling, x, offset)) {
    const c10::InferenceMode normal(
        false);  // a kept inference tensor could not be saved for a backward later
    table = make_table(frequencies, scaling, x, offset);
    key = {frequencies.vec(), scaling, x.size(-2), offset, x.options()};
  }
  return table;
}

at::Tensor rotate(const at::Tensor& x, const RopeTable& table, bool interleaved) {
  const int64_t half = table.cosine.size(-1), rotated = 2 * half;
  const auto head = x.narrow(-1, 0, rotated);
  const auto first =
      interleaved ? head.unflatten(-1, {half, 2}).select(-1, 0) : head.narrow(-1, 0, half);
  const auto second =
      interleaved ? head.unflatten(-1, {half, 2}).select(-1, 1) : head.narrow(-1, half, half);
  const auto turned_first = (first * table.cosine).addcmul(second, table.sine, -1);
  const auto turned_second = (second * table.cosine).addcmul(first, table.sine);
  if (interleaved) {
    const auto turned = at::stack({turned_first, turned_second}, -1).flatten(-2);
    return rotated == x.size(-1)
               ? turned
               : at::cat({turned, x.narrow(-1, rotated, x.size(-1) - rotated)}, -1);
  }
  if (rotated == x.size(-1)) return at::cat({turned_first, turned_second}, -1);
  return at::cat({turned_first, turned_second, x.narrow(-1, rotated, x.size(-1) - rotated)}, -1);
}

at::Tensor rope_kernel(const at::Tensor& x, at::ArrayRef<double> frequencies, double scaling,
                       bool interleaved, int64_t offset) {
  const auto features = static_cast<int64_t>(2 * frequencies.size());
  TORCH_CHECK_VALUE(x.dim() >= 2 && features <= x.size(-1),
                    "[rope] x: expected [..., length, at least ", features, " features] for ",
                    frequencies.size(), " frequencies, got ", x.sizes(), ".");
  return rotate(x, rope_table(frequencies, scaling, x, offset), interleaved);
}

at::Tensor rope_by_length_kernel(const at::Tensor& x, at::ArrayRef<double> short_frequencies,
                                 at::ArrayRef<double> long_frequencies, int64_t original_length,
                                 double scaling, int64_t offset) {
  const bool is_long = offset + x.size(-2) > original_length;
  return rope_kernel(x, is_long ? long_frequencies : short_frequencies, scaling, false, offset);
}

at::Tensor rope_dynamic_kernel(const at::Tensor& x, double base, int64_t dim, double factor,
                               int64_t original_length, int64_t offset) {
  TORCH_CHECK_VALUE(dim > 2 && dim % 2 == 0 && original_length > 0,
                    "[rope_dynamic] expected an even dim above 2 and ",
                    "original_length above 0, got ", dim, " and ", original_length, ".");
  const auto length = static_cast<double>(offset + x.size(-2)),
             original = static_cast<double>(original_length);
  if (length > original)
    base *= std::pow(factor * length / original - (factor - 1),
                     static_cast<double>(dim) / static_cast<double>(dim - 2));
  std::vector<double> frequencies(dim / 2);
  for (size_t i = 0; i < frequencies.size(); ++i)
    frequencies[i] = std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
  return rope_kernel(x, frequencies, 1.0, false, offset);
}

at::Tensor positions_kernel(const at::Tensor& ids, int64_t offset) {
  const auto options = at::TensorOptions().dtype(at::kLong).device(ids.device());
  return at::arange(offset, offset + ids.size(-1), options);
}

std::unique_ptr<torch::Library> make_library() {
  auto library = std::make_unique<torch::Library>(torch::Library::FRAGMENT, "laconic", std::nullopt,
                                                  __FILE__, __LINE__);
  library->def(
      "rope(Tensor x, float[] frequencies, float scaling, bool interleaved, int offset) -> Tensor",
      rope_kernel);
  library->def(
      "rope_by_length(Tensor x, float[] short_frequencies, float[] long_frequencies, int "
      "original_length, "
      "float scaling, int offset) -> Tensor",
      rope_by_length_kernel);
  library->def(
      "rope_dynamic(Tensor x, float base, int dim, float factor, int original_length, int offset) "
      "-> "
      "Tensor",
      rope_dynamic_kernel);
  library->def("positions(Tensor ids, int offset) -> Tensor", positions_kernel);
  library->def("hadamard(Tensor x, int size) -> Tensor", kernel::hadamard);
  define_attention(*library);
  define_experts(*library);
  return library;
}

}  // namespace

void register_operators() {
  // Never destroyed: the dispatcher may be gone when static objects end.
  static const torch::Library* const library = make_library().release();
  (void)library;
}

at::Tensor rope(const at::Tensor& x, at::ArrayRef<double> frequencies, double scaling,
                bool interleaved) {
  static const auto op = find_operator<decltype(rope_kernel)>("laconic::rope");
  return op.call(x, frequencies, scaling, interleaved, 0);
}

at::Tensor rope_by_length(const at::Tensor& x, at::ArrayRef<double> short_frequencies,
                          at::ArrayRef<double> long_frequencies, int64_t original_length,
                          double scaling) {
  static const auto op = find_operator<decltype(rope_by_length_kernel)>("laconic::rope_by_length");
  return op.call(x, short_frequencies, long_frequencies, original_length, scaling, 0);
}

at::Tensor rope_dynamic(const at::Tensor& x, const DynamicRope& options) {
  static const auto op = find_operator<decltype(rope_dynamic_kernel)>("laconic::rope_dynamic");
  return op.call(x, options.base, options.dim, options.factor, options.original_length, 0);
}

at::Tensor positions(const at::Tensor& ids, int64_t offset) {
  static const auto op = find_operator<decltype(positions_kernel)>("laconic::positions");
  return op.call(ids, offset);
}

at::Tensor hadamard(const at::Tensor& x, int64_t size) {
  static const auto op = find_operator<decltype(kernel::hadamard)>("laconic::hadamard");
  return op.call(x, size);
}

}  // namespace laconic::graph
