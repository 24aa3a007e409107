// Any bytes as a quantizer and a tensor: a clear error, or the fused path gives what the composed
// path gives, bit for bit; gradients up to 2 units in the last place of the largest term of their
// sums, with minifloats 8.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <bit>
#include <cmath>
#include <iostream>
#include <span>

#include "laconic/quant/quantizer/fused.h"
#include "laconic/quant/quantizer/range.h"

namespace laconic {
namespace {

/// The bytes as choices; zeros when there are no more.
class Choices {
 public:
  Choices(const uint8_t* data, size_t size) : data_(data), left_(size) {}
  uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  int64_t within(int64_t low, int64_t high) { return low + byte() % (high - low + 1); }
  bool flag() { return byte() % 2 != 0; }
  double positive() { return std::ldexp(1.0 + byte() / 256.0, static_cast<int>(within(-80, 80))); }

 private:
  const uint8_t* data_;
  size_t left_;
};

Format format(Choices& choices) {
  switch (choices.within(0, 4)) {
    case 0:
      return IntFormat{choices.within(1, 16), choices.flag(), choices.flag()};
    case 1:
      return choices.flag() ? e4m3() : e5m2();
    case 2:
      return choices.flag() ? e2m1() : e2m3();
    case 3:
      return named_formats()[choices.byte() % named_formats().size()].second;
    default: {
      MinifloatFormat any{.exponent_bits = choices.within(1, 8),
                          .mantissa_bits = choices.within(0, 10)};
      if (choices.flag()) any.exponent_bias = choices.within(-40, 40);
      any.specials = static_cast<FloatSpecials>(choices.within(0, 3));
      any.saturating = choices.within(0, 7) != 0;
      any.is_signed = choices.within(0, 3) != 0;
      any.subnormals = any.is_signed || choices.flag();
      return any;
    }
  }
}

Granularity granularity(Choices& choices) {
  switch (choices.within(0, 4)) {
    case 0:
      return PerTensor{};
    case 1:
      return PerToken{};
    case 2:
      return PerChannel{.axis = choices.within(-3, 2)};
    case 3:
      return PerGroup{choices.within(-2, 1), choices.within(1, 64), choices.flag()};
    default:
      if (choices.flag())
        return PerBlock{choices.within(1, 16), choices.within(1, 64), choices.flag()};
      return PerHead{choices.within(-2, 1), choices.within(1, 16), choices.flag()};
  }
}

QuantSpec quantizer(Choices& choices, int depth);

Restriction restriction(Choices& choices, int depth) {
  switch (choices.within(0, 5)) {
    case 0:
      return PowerOfTwo{static_cast<PowerRounding>(choices.within(0, 2))};
    case 1:
      return StoredAs{choices.flag() ? at::kHalf : at::kBFloat16};
    case 2: {
      QuantSpec powers{.format = e8m0(), .scale = ConstantScale{}};
      const Rounding roundings[] = {Floor{}, Ceil{}, HalfEven{}};
      powers.rounding = roundings[choices.within(0, 2)];
      return QuantizedBy{powers};
    }
    case 3:
      if (depth < 2) return QuantizedBy{quantizer(choices, depth + 1)};
      return SignedFloat{};
    case 4:
      return choices.flag() ? Restriction(LogFloat{}) : Restriction(SignedFloat{});
    default:
      return AnyFloat{};
  }
}

QuantSpec quantizer(Choices& choices, int depth) {
  StatisticScale scale;
  if (choices.flag()) scale.statistic = MinMax{.include_zero = choices.flag()};
  scale.restriction = restriction(choices, depth);
  scale.threshold = static_cast<Threshold>(choices.within(0, 4));
  if (choices.flag()) scale.minimum = choices.positive();
  QuantSpec spec{.format = format(choices), .granularity = granularity(choices), .scale = scale};
  const int64_t zero_point = choices.within(0, 5);
  if (zero_point == 0) spec.zero_point = IntegerZeroPoint{};
  if (zero_point == 1) spec.zero_point = FloatZeroPoint{};
  if (choices.flag()) spec.gradient = Clipped{};
  return spec;
}

at::Tensor tensor(Choices& choices) {
  const auto x = at::zeros({choices.within(1, 4), choices.within(1, 130)});
  const bool is_wild = choices.flag();
  for (float& number : std::span(x.mutable_data_ptr<float>(), static_cast<size_t>(x.numel()))) {
    const uint32_t first = choices.byte(), second = choices.byte();
    number = is_wild ? std::bit_cast<float>(first << 24 | second << 16 | (second & 1) * 0xFFFF)
                     : std::ldexp(static_cast<float>(static_cast<int8_t>(first)),
                                  static_cast<int>(second % 24) - 16);
  }
  const at::ScalarType types[] = {at::kFloat, at::kFloat, at::kBFloat16, at::kHalf};
  return x.to(types[choices.within(0, 3)]);
}

void expect_same(const at::Tensor& found, const at::Tensor& expected) {
  if (found.defined() != expected.defined()) __builtin_trap();
  if (!found.defined()) return;
  if (found.sizes() != expected.sizes() || found.scalar_type() != expected.scalar_type())
    __builtin_trap();
  const auto same = found.eq(expected).logical_and(found.signbit().eq(expected.signbit()));
  const auto nan = found.isnan().logical_and(expected.isnan());
  if (!same.logical_or(nan).all().item<bool>()) __builtin_trap();
}

/// Largest distance of numbers of these sizes that counts as equal: one unit in the last place.
at::Tensor last_place(const at::Tensor& sizes, at::ScalarType type) {
  const double epsilon = type == at::kFloat ? 0x1p-23 : type == at::kHalf ? 0x1p-10 : 0x1p-7;
  const double least = type == at::kHalf ? 0x1p-24 : 0x1p-149;
  return sizes.abs().to(at::kDouble) * epsilon + least;
}

/// Numbers that are equal up to the last place of the largest term of their sums. Where float32 is
/// too small for a term, the composed path spreads NaN as it need not.
void expect_near(const at::Tensor& found, const at::Tensor& expected, double largest_term) {
  if (found.defined() != expected.defined()) __builtin_trap();
  if (!found.defined() || !std::isfinite(largest_term)) return;
  if (!expected.isfinite().all().item<bool>()) return;
  const auto a = found.to(at::kDouble), b = expected.to(at::kDouble);
  const auto size = b.abs().clamp_min(largest_term);
  const auto far = (a - b).abs().gt(last_place(size, expected.scalar_type()));
  if (!far.any().item<bool>()) return;
  std::cerr << "gradients, fused:\n"
            << a.masked_select(far) << "\ncomposed:\n"
            << b.masked_select(far) << "\nlargest term: " << largest_term << "\n";
  __builtin_trap();
}

/// The largest term that gradients are the sums of: times the element, its quotient and the zero
/// point to the element and its scale, times the scale to the zero point. Of minifloats the
/// composed path finds the slope by a logarithm, and what a zero point leaves of it cancels: that
/// costs up to 3 bits.
struct LargestTerms {
  double of_scale, of_zero_point;
};
LargestTerms largest_terms(const QuantSpec& spec, const at::Tensor& x,
                           const QuantParameters& parameters, const at::Tensor& gradient) {
  const auto scale = parameters.scale.to(at::kDouble).abs();
  auto quotient = grouped(x.to(at::kDouble), spec.granularity).abs() / scale;
  if (parameters.zero_point.defined()) quotient = quotient + parameters.zero_point.abs();
  const auto size = grouped(gradient.to(at::kDouble), spec.granularity).abs();
  const double some = std::holds_alternative<MinifloatFormat>(spec.format) ? 8 : 2;
  return {some * (size * (quotient + 1)).max().item<double>(),
          some * (size * scale).max().item<double>()};
}

/// Gradients of value * at to the inputs, each undefined where nothing flows.
std::vector<at::Tensor> gradients(const at::Tensor& value, const std::vector<at::Tensor>& inputs,
                                  const at::Tensor& at) {
  return torch::autograd::grad({value}, inputs, {at}, /*retain_graph=*/false,
                               /*create_graph=*/false, /*allow_unused=*/true);
}

at::Tensor leaf(const at::Tensor& x) {
  return x.defined() ? x.detach().clone().requires_grad_(true) : x;
}

/// The composed path, scales found.
at::Tensor composed(const QuantSpec& spec, const at::Tensor& x) {
  const auto shape = scale_shape(x.sizes(), spec.granularity);
  const auto found = parameters_of_range(spec, find_range(spec, x.to(at::kFloat)), shape);
  return fake_quantize_composed(spec, x, found);
}

/// Whether float32 holds what the composed path makes of a gradient on its way, with all digits:
/// numbers, scales and quotients far from its ends, and the product of a gradient with the scale
/// (of a minifloat with its smallest step as well) no denormal.
bool is_moderate(const QuantSpec& spec, const at::Tensor& x, const QuantParameters& parameters,
                 const at::Tensor& gradient) {
  constexpr double kFar = 0x1p96;
  const auto largest = [](const at::Tensor& numbers) {
    return numbers.abs().max().item<double>();  // NaN, if there is one
  };
  const double size = largest(x), most = largest(parameters.scale);
  const double least = parameters.scale.abs().min().item<double>();
  const bool is_far =
      !(size <= kFar && most <= kFar && size <= least * kFar) ||
      (parameters.zero_point.defined() && !(largest(parameters.zero_point) <= kFar));
  if (is_far) return false;
  int64_t step = 0;
  if (const auto* format = std::get_if<MinifloatFormat>(&spec.format))
    step = std::min<int64_t>(limits(*format).lowest_exponent - format->mantissa_bits, 0);
  return std::ldexp(least * largest(gradient), static_cast<int>(step)) >= 0x1p-126;
}

void compare_found_gradients(const QuantSpec& spec, const at::Tensor& x, const at::Tensor& gradient,
                             double largest) {
  const auto fused_x = leaf(x), composed_x = leaf(x);
  const auto fused = fused_dynamic(spec, fused_x);
  if (!fused) return;
  const auto found = gradients(*fused, {fused_x}, gradient);
  const auto expected = gradients(composed(spec, composed_x), {composed_x}, gradient);
  expect_near(found[0], expected[0], largest);
}

void compare_given_gradients(const QuantSpec& spec, const at::Tensor& x,
                             const QuantParameters& parameters, const at::Tensor& gradient) {
  const auto leaves = [&] {
    std::vector<at::Tensor> inputs{leaf(x), leaf(parameters.scale)};
    if (parameters.zero_point.defined()) inputs.push_back(leaf(parameters.zero_point));
    return inputs;
  };
  const auto of = [](const std::vector<at::Tensor>& inputs) {
    return QuantParameters{inputs[1], inputs.size() > 2 ? inputs[2] : at::Tensor()};
  };
  const auto fused_inputs = leaves(), inputs = leaves();
  const auto fused = fused_fake_quantize(spec, fused_inputs[0], of(fused_inputs));
  if (!fused) return;
  const auto found = gradients(*fused, fused_inputs, gradient);
  const auto expected =
      gradients(fake_quantize_composed(spec, inputs[0], of(inputs)), inputs, gradient);
  const LargestTerms largest = largest_terms(spec, x, parameters, gradient);
  for (size_t i = 0; i < found.size(); ++i)
    expect_near(found[i], expected[i], i < 2 ? largest.of_scale : largest.of_zero_point);
}

/// `gradient` is of one element: so sums have few terms, and their order says little.
void compare_gradients(const QuantSpec& spec, const at::Tensor& x, double factor,
                       const at::Tensor& gradient) {
  const auto parameters = fused_parameters(spec, x);
  if (!parameters) return;
  if (is_moderate(spec, x, *parameters, gradient))
    compare_found_gradients(spec, x, gradient,
                            largest_terms(spec, x, *parameters, gradient).of_scale);
  const QuantParameters other{parameters->scale * factor, parameters->zero_point};
  if (is_moderate(spec, x, other, gradient)) compare_given_gradients(spec, x, other, gradient);
}

void compare(const QuantSpec& spec, const at::Tensor& x, double factor) {
  const auto found = fused_quantize(spec, x);
  if (!found) return;
  const auto parameters = parameters_of_range(spec, find_range(spec, x.to(at::kFloat)),
                                              scale_shape(x.sizes(), spec.granularity));
  expect_same(found->parameters.scale, parameters.scale);
  expect_same(found->parameters.zero_point, parameters.zero_point);
  expect_same(found->value, fake_quantize_composed(spec, x, parameters));
  const QuantParameters other{parameters.scale * factor, parameters.zero_point};
  const auto given = fused_fake_quantize(spec, x, other);
  if (given) expect_same(*given, fake_quantize_composed(spec, x, other));
}

/// A gradient at one element.
at::Tensor one_element(Choices& choices, const at::Tensor& x) {
  const auto gradient = at::zeros_like(x);
  const int64_t place = (choices.byte() * 256 + choices.byte()) % x.numel();
  gradient.view(-1)[place].fill_(choices.within(1, 64) / 8.0 * (choices.flag() ? 1 : -1));
  return gradient;
}

}  // namespace
}  // namespace laconic

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  laconic::Choices choices(data, size);
  const auto spec = laconic::quantizer(choices, 0);
  const double factor = choices.flag() ? 1 : choices.positive();
  try {
    laconic::check(spec);
    const auto x = laconic::tensor(choices);
    laconic::compare(spec, x, factor);
    laconic::compare_gradients(spec, x, factor, laconic::one_element(choices, x));
  } catch (const c10::Error&) {
  }
  return 0;
}
