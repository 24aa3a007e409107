#pragma once

// What the tests of the fused kernels share: hard tensors, and the composed path from end to end.

#include <vector>

#include "laconic/quant/quantizer/fused.h"
#include "laconic/quant/quantizer/fused_call.h"
#include "laconic/quant/quantizer/quant_tensor.h"
#include "laconic/quant/quantizer/range.h"
#include "tests/testing/testing.h"

namespace laconic::testing {

/// Those of tensors of three dimensions.
inline std::vector<Granularity> fused_granularities() {
  return {PerTensor{},
          PerChannel{.axis = 0},
          PerChannel{.axis = 1},
          PerToken{},
          PerHead{.axis = 2, .heads = 3, .per_token = true},
          PerGroup{.axis = -1, .group_size = 16},
          PerGroup{.axis = -1, .group_size = 32},
          PerGroup{.axis = 2, .group_size = 48, .pad = true},
          PerGroup{.axis = 2, .group_size = 200, .pad = true}};
}

/// Whose scales are shared by rows: along other axes than the last, in blocks and heads.
inline std::vector<Granularity> banded_granularities() {
  return {PerChannel{.axis = 2},
          PerGroup{.axis = 1, .group_size = 4},
          PerGroup{.axis = 1, .group_size = 6, .pad = true},
          PerGroup{.axis = 0, .group_size = 2, .pad = true},
          PerBlock{.rows = 4, .columns = 8},
          PerBlock{.rows = 6, .columns = 48, .pad = true},
          PerBlock{.rows = 3, .columns = 32, .pad = true},
          PerHead{.axis = -1, .heads = 3},
          PerHead{.axis = 1, .heads = 3},
          PerHead{.axis = 1, .heads = 3, .per_token = true}};
}

/// Whether the loops know such tensors: whole groups, and no band that two matrices share.
inline bool fits(const QuantSpec& spec, at::IntArrayRef sizes) {
  try {
    check_granularity(spec.granularity, sizes);
  } catch (const c10::ValueError&) {
    return false;
  }
  return runs_of(spec.granularity, sizes).has_value();
}

/// With ties, both zeros, huge and tiny numbers among the others.
inline at::Tensor hard_tensor(at::IntArrayRef sizes) {
  auto x = at::randn(sizes);
  auto flat = x.flatten();
  const auto ties = at::arange(-40, 40, at::kFloat) / 2;
  flat.narrow(0, 0, 80).copy_(ties);
  flat[90] = -0.0;
  flat[91] = 1e-42;
  flat[92] = 3e4;
  return x;
}

/// The composed path from end to end.
inline QuantTensor composed(const QuantSpec& spec, const at::Tensor& x) {
  const auto real = x.to(at::kFloat);
  const auto parameters =
      parameters_of_range(spec, find_range(spec, real), scale_shape(x.sizes(), spec.granularity));
  return {fake_quantize_composed(spec, x, parameters), parameters.scale, parameters.zero_point,
          spec.format, spec.granularity};
}

/// Equal numbers, zeros by their sign, NaN where NaN is.
inline void expect_same(const at::Tensor& found, const at::Tensor& expected) {
  ASSERT_EQ(found.defined(), expected.defined());
  if (!found.defined()) return;
  ASSERT_EQ(found.sizes(), expected.sizes());
  ASSERT_EQ(found.scalar_type(), expected.scalar_type());
  const auto nan = expected.isnan();
  EXPECT_TRUE(at::equal(found.isnan(), nan));
  const auto differs = found.ne(expected)
                           .logical_or(found.signbit().ne(expected.signbit()))
                           .logical_and(nan.logical_not());
  const auto count = differs.sum().item<int64_t>();
  EXPECT_EQ(count, 0) << "differ in " << count << ": " << found.masked_select(differs) << " for "
                      << expected.masked_select(differs);
}

inline void expect_found_as_composed(const QuantSpec& spec, const at::Tensor& x) {
  SCOPED_TRACE(to_string(spec));
  const auto found = fused_quantize(spec, x);
  const QuantTensor expected = composed(spec, x);
  ASSERT_TRUE(found.has_value());
  expect_same(found->parameters.scale, expected.scale);
  expect_same(found->parameters.zero_point, expected.zero_point);
  expect_same(found->value, expected.value);
  auto value = at::empty_like(x);
  fake_quantize_dynamic_out(spec, x, value);
  expect_same(value, expected.value);
}

/// Gradients of sum(weight * value) by `quantizer`, to `inputs`.
template <typename Quantizer>
std::vector<at::Tensor> gradients(const Quantizer& quantizer, const at::Tensor& weight,
                                  std::vector<at::Tensor> inputs) {
  for (auto& input : inputs) input = input.detach().clone().set_requires_grad(true);
  (quantizer(inputs) * weight).sum().backward();
  std::vector<at::Tensor> result;
  for (const auto& input : inputs) result.push_back(input.grad());
  return result;
}

/// Sums of one scale differ by their order: in the last bits of their largest terms, of which they
/// may cancel all but a part.
inline void expect_near(const at::Tensor& found, const at::Tensor& expected,
                        double largest_term = 0) {
  ASSERT_EQ(found.defined(), expected.defined());
  if (!found.defined()) return;
  const double size = std::max(largest_term, expected.abs().max().item<double>());
  EXPECT_TRUE(at::allclose(found, expected, 1e-5, 1e-5 * size))
      << "differ by " << (found - expected).abs().max().item<double>() << " of " << size;
}

/// Those of the value of `spec` to x, its scales found of x: fused, and composed.
inline void expect_gradient_as_composed(const QuantSpec& spec, const at::Tensor& x) {
  SCOPED_TRACE(to_string(spec));
  const auto weight = at::randn(x.sizes());
  const auto fused = gradients(
      [&](const auto& inputs) { return fake_quantize_dynamic(spec, inputs[0]); }, weight, {x});
  const auto plain = gradients(
      [&](const auto& inputs) {
        const auto shape = scale_shape(x.sizes(), spec.granularity);
        const auto found = parameters_of_range(spec, find_range(spec, inputs[0]), shape);
        return fake_quantize_composed(spec, inputs[0], found);
      },
      weight, {x});
  expect_near(fused[0], plain[0]);
}

/// The same to parameters that are given, on a scale of them that clips something.
inline void expect_given_gradients_as_composed(const QuantSpec& spec, const at::Tensor& x) {
  SCOPED_TRACE(to_string(spec));
  const auto weight = at::randn(x.sizes());
  const auto found = find_parameters(spec, x);
  std::vector<at::Tensor> inputs{x, found.scale * 0.7};
  if (found.zero_point.defined()) inputs.push_back(found.zero_point);
  const auto with = [&](auto function) {
    return gradients(
        [&](const auto& in) {
          return function(spec, in[0], {in[1], in.size() > 2 ? in[2] : at::Tensor()});
        },
        weight, inputs);
  };
  const auto fused = with(fake_quantize), plain = with(fake_quantize_composed);
  expect_near(fused[0], plain[0]);
  const double largest = element_range(spec.format).high;
  for (size_t i = 1; i < inputs.size(); ++i) expect_near(fused[i], plain[i], largest);
}

}  // namespace laconic::testing
