#include "laconic/quant/quantizer/format_choice.h"

#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

namespace laconic {
namespace {

QuantSpec spec_of(const FormatChoice& choice, size_t place) {
  return choice.quantizer.let(choice.formats[place]);
}

void check_choice(const FormatChoice& choice) {
  TORCH_CHECK_VALUE(choice.formats.size() >= 2 && choice.formats.size() <= 256,
                    "[FormatChoice] formats: expected 2 to 256, got ", choice.formats.size(), ".");
  const int64_t bits = stored_bits(choice.formats.front());
  for (const Format& format : choice.formats) {
    check_format(format);
    const bool is_alike = stored_bits(format) == bits &&
                          has_negative_codes(format) == has_negative_codes(choice.formats.front());
    TORCH_CHECK_VALUE(is_alike, "[FormatChoice] formats: expected codes of one width, got ",
                      describe(choice.formats.front()), " of ", bits, " bits and ",
                      describe(format), " of ", stored_bits(format), ".");
  }
}

void check_chosen(const FormatChoice& choice, const QuantParameters& parameters) {
  check_choice(choice);
  const at::Tensor& chosen = parameters.choice;
  TORCH_CHECK_VALUE(chosen.defined() && chosen.sizes() == parameters.scale.sizes(),
                    "[FormatChoice] parameters: expected a choice for each scale, ",
                    parameters.scale.sizes(), ", got ",
                    chosen.defined() ? chosen.sizes() : at::IntArrayRef{},
                    ". Find them with find_parameters.");
  const auto count = static_cast<int64_t>(choice.formats.size());
  TORCH_CHECK_VALUE(chosen.numel() == 0 || chosen.max().item<int64_t>() < count,
                    "[FormatChoice] parameters: expected a choice of 0 to ", count - 1,
                    ", got others.");
}

// `scales` (a number a scale) for each element of the tensor.
at::Tensor spread_over(const at::Tensor& scales, const at::Tensor& x,
                       const Granularity& granularity) {
  return ungrouped(scales.expand_as(grouped(x, granularity)), x.sizes(), granularity);
}

at::Tensor replace(const at::Tensor& where, const at::Tensor& with, const at::Tensor& old) {
  return old.defined() ? at::where(where, with, old) : old;
}

// What `function(spec, is_chosen)` gives for each format, put together where it is the one chosen.
template <typename Function>
at::Tensor by_format(const FormatChoice& choice, const at::Tensor& x,
                     const QuantParameters& parameters, const Function& function) {
  check_chosen(choice, parameters);
  at::Tensor result;
  for (size_t i = 0; i < choice.formats.size(); ++i) {
    const auto chosen =
        spread_over(parameters.choice.eq(static_cast<int64_t>(i)), x, choice.quantizer.granularity);
    const auto found = function(spec_of(choice, i), chosen);
    result = result.defined() ? at::where(chosen, found, result) : found;
  }
  return result;
}

}  // namespace

FormatChoice bitmod(int64_t bits, int64_t group_size) {
  return choice_of(QuantSpec{}.let(Format(bitmod_tables(bits)),
                                   PerGroup{.axis = -1, .group_size = group_size},
                                   Threshold::kFullRange));
}

FormatChoice choice_of(const QuantSpec& spec) {
  FormatChoice choice{spec, {}};
  for (const auto& table : std::get<ChoiceFormat>(spec.format).tables)
    choice.formats.emplace_back(TableFormat{table});
  choice.quantizer.format = choice.formats.front();
  return choice;
}

QuantParameters find_parameters(const FormatChoice& choice, const at::Tensor& x,
                                const at::Tensor& importance) {
  check_choice(choice);
  const bool is_double = x.scalar_type() == c10::ScalarType::Double;
  const auto real = x.detach().to(is_double ? x.scalar_type() : c10::ScalarType::Float);
  QuantParameters best;
  at::Tensor least;
  for (size_t i = 0; i < choice.formats.size(); ++i) {
    const QuantSpec spec = spec_of(choice, i);
    const QuantParameters parameters = find_parameters(spec, real, importance);
    auto error = (fake_quantize(spec, real, parameters) - real).square();
    if (importance.defined()) error = error * importance;
    const auto loss = grouped(error, spec.granularity).sum_to_size(parameters.scale.sizes());
    if (i == 0) {
      best = parameters;
      best.choice = at::zeros(loss.sizes(), loss.options().dtype(c10::ScalarType::Byte));
      least = loss;
      continue;
    }
    const auto better = loss.lt(least);
    least = at::where(better, loss, least);
    best.choice = best.choice.masked_fill(better, static_cast<int64_t>(i));
    best.scale = replace(better, parameters.scale, best.scale);
    best.zero_point = replace(better, parameters.zero_point, best.zero_point);
  }
  return best;
}

at::Tensor quantize_codes(const FormatChoice& choice, const at::Tensor& x,
                          const QuantParameters& parameters) {
  return by_format(choice, x, parameters, [&](const QuantSpec& spec, const at::Tensor&) {
    return quantize_codes(spec, x, parameters);
  });
}

at::Tensor dequantize(const FormatChoice& choice, const at::Tensor& codes,
                      const QuantParameters& parameters) {
  return by_format(choice, codes, parameters, [&](const QuantSpec& spec, const at::Tensor& chosen) {
    // Codes of scales that chose otherwise may be no codes here.
    const auto own = codes.masked_fill(chosen.logical_not(), code_range(spec.format).q_min);
    return dequantize(spec, own, parameters);
  });
}

at::Tensor fake_quantize_choice(const FormatChoice& choice, const at::Tensor& x,
                                const QuantParameters& parameters) {
  return by_format(choice, x, parameters, [&](const QuantSpec& spec, const at::Tensor&) {
    return fake_quantize(spec, x, parameters);
  });
}

ChosenTensor quantize(const FormatChoice& choice, const at::Tensor& x) {
  const auto parameters = find_parameters(choice, x);
  const auto codes = quantize_codes(choice, x, parameters);
  return {dequantize(choice, codes, parameters), codes, parameters};
}

}  // namespace laconic
