#include "laconic/graph/operators.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>
#include <torch/library.h>

#include <cmath>
#include <memory>
#include <mutex>
#include <vector>

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
  int64_t length = -1;
  at::TensorOptions options;
  bool matches(at::ArrayRef<double> f, double s, const at::Tensor& x) const {
    return length == x.size(-2) && scaling == s && at::ArrayRef<double>(frequencies).equals(f) &&
           options.device() == x.device() && options.dtype() == x.dtype();
  }
};

RopeTable make_table(at::ArrayRef<double> frequencies, double scaling, const at::Tensor& x) {
  // Angles in float32 whatever the dtype of x: bfloat16 has too few digits for positions.
  const auto options = at::TensorOptions().dtype(at::kFloat).device(x.device());
  const auto position = at::arange(x.size(-2), options);
  const auto angle = at::outer(
      position, at::tensor(frequencies, at::TensorOptions().dtype(at::kFloat)).to(x.device()));
  return {(angle.cos() * scaling).to(x.scalar_type()), (angle.sin() * scaling).to(x.scalar_type())};
}

RopeTable rope_table(at::ArrayRef<double> frequencies, double scaling, const at::Tensor& x) {
  thread_local RopeKey key;
  thread_local RopeTable table;
  if (x.is_meta()) return make_table(frequencies, scaling, x);
  if (!key.matches(frequencies, scaling, x)) {
    const c10::InferenceMode normal(
        false);  // a kept inference tensor could not be saved for a backward later
    table = make_table(frequencies, scaling, x);
    key = {frequencies.vec(), scaling, x.size(-2), x.options()};
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
                       bool interleaved) {
  const auto features = static_cast<int64_t>(2 * frequencies.size());
  TORCH_CHECK_VALUE(x.dim() >= 2 && features <= x.size(-1),
                    "[rope] x: expected [..., length, at least ", features, " features] for ",
                    frequencies.size(), " frequencies, got ", x.sizes(), ".");
  return rotate(x, rope_table(frequencies, scaling, x), interleaved);
}

at::Tensor rope_by_length_kernel(const at::Tensor& x, at::ArrayRef<double> short_frequencies,
                                 at::ArrayRef<double> long_frequencies, int64_t original_length,
                                 double scaling) {
  const bool is_long = x.size(-2) > original_length;
  return rope_kernel(x, is_long ? long_frequencies : short_frequencies, scaling, false);
}

at::Tensor rope_dynamic_kernel(const at::Tensor& x, double base, int64_t dim, double factor,
                               int64_t original_length) {
  TORCH_CHECK_VALUE(dim > 2 && dim % 2 == 0 && original_length > 0,
                    "[rope_dynamic] expected an even dim above 2 and ",
                    "original_length above 0, got ", dim, " and ", original_length, ".");
  const auto length = static_cast<double>(x.size(-2)),
             original = static_cast<double>(original_length);
  if (length > original)
    base *= std::pow(factor * length / original - (factor - 1),
                     static_cast<double>(dim) / static_cast<double>(dim - 2));
  std::vector<double> frequencies(dim / 2);
  for (size_t i = 0; i < frequencies.size(); ++i)
    frequencies[i] = std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
  return rope_kernel(x, frequencies, 1.0, false);
}

at::Tensor positions_kernel(const at::Tensor& ids, int64_t offset) {
  const auto options = at::TensorOptions().dtype(at::kLong).device(ids.device());
  return at::arange(offset, offset + ids.size(-1), options);
}

/// [length, length], true where a position sees another.
at::Tensor window_mask(const at::Tensor& q, int64_t window) {
  const auto options = at::TensorOptions().dtype(at::kBool).device(q.device());
  const auto all = at::ones({q.size(-2), q.size(-2)}, options);
  return all.tril().triu(-(window - 1));
}

at::Tensor attention_kernel(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            double scale, std::optional<int64_t> window) {
  const int64_t heads = q.size(1), groups = k.size(1);
  TORCH_CHECK_VALUE(groups > 0 && heads % groups == 0,
                    "[attention] expected heads a multiple of groups, got ", heads, " and ", groups,
                    ".");
  TORCH_CHECK_VALUE(!window || *window > 0, "[attention] window: expected at least 1, got ",
                    *window, ".");
  // The memory-saving kernel of the CPU wants equal numbers of heads; copies of k and v are small
  // beside q k^T.
  const auto spread = [&](const at::Tensor& x) {
    return heads == groups ? x : x.repeat_interleave(heads / groups, 1);
  };
  const bool needs_mask = window && *window < q.size(-2);
  const auto mask = needs_mask ? std::optional(window_mask(q, *window)) : std::nullopt;
  return at::scaled_dot_product_attention(q, spread(k), spread(v), mask, 0.0, !needs_mask, scale);
}

std::unique_ptr<torch::Library> make_library() {
  auto library = std::make_unique<torch::Library>(torch::Library::FRAGMENT, "laconic", std::nullopt,
                                                  __FILE__, __LINE__);
  library->def("rope(Tensor x, float[] frequencies, float scaling, bool interleaved) -> Tensor",
               rope_kernel);
  library->def(
      "rope_by_length(Tensor x, float[] short_frequencies, float[] long_frequencies, int "
      "original_length, "
      "float scaling) -> Tensor",
      rope_by_length_kernel);
  library->def(
      "rope_dynamic(Tensor x, float base, int dim, float factor, int original_length) -> Tensor",
      rope_dynamic_kernel);
  library->def("positions(Tensor ids, int offset) -> Tensor", positions_kernel);
  library->def("attention(Tensor q, Tensor k, Tensor v, float scale, int? window) -> Tensor",
               attention_kernel);
  library->def("hadamard(Tensor x, int size) -> Tensor", kernel::hadamard);
  return library;
}

template <typename Function>
auto find(const char* name) {
  register_operators();
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Function>();
}

}  // namespace

void register_operators() {
  // Never destroyed: the dispatcher may be gone when static objects end.
  static const torch::Library* const library = make_library().release();
  (void)library;
}

at::Tensor rope(const at::Tensor& x, at::ArrayRef<double> frequencies, double scaling,
                bool interleaved) {
  static const auto op = find<decltype(rope_kernel)>("laconic::rope");
  return op.call(x, frequencies, scaling, interleaved);
}

at::Tensor rope_by_length(const at::Tensor& x, at::ArrayRef<double> short_frequencies,
                          at::ArrayRef<double> long_frequencies, int64_t original_length,
                          double scaling) {
  static const auto op = find<decltype(rope_by_length_kernel)>("laconic::rope_by_length");
  return op.call(x, short_frequencies, long_frequencies, original_length, scaling);
}

at::Tensor rope_dynamic(const at::Tensor& x, const DynamicRope& options) {
  static const auto op = find<decltype(rope_dynamic_kernel)>("laconic::rope_dynamic");
  return op.call(x, options.base, options.dim, options.factor, options.original_length);
}

at::Tensor positions(const at::Tensor& ids, int64_t offset) {
  static const auto op = find<decltype(positions_kernel)>("laconic::positions");
  return op.call(ids, offset);
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                     std::optional<int64_t> window) {
  static const auto op = find<decltype(attention_kernel)>("laconic::attention");
  return op.call(q, k, v, scale, window);
}

at::Tensor hadamard(const at::Tensor& x, int64_t size) {
  static const auto op = find<decltype(kernel::hadamard)>("laconic::hadamard");
  return op.call(x, size);
}

}  // namespace laconic::graph
