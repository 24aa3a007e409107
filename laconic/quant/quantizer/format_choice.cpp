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

// `scales` (a number a scale) for each element of the tensor.
at::Tensor spread(const at::Tensor& scales, const at::Tensor& x, const Granularity& granularity) {
  return ungrouped(scales.expand_as(grouped(x, granularity)), x.sizes(), granularity);
}

at::Tensor replace(const at::Tensor& where, const at::Tensor& with, const at::Tensor& old) {
  return old.defined() ? at::where(where, with, old) : old;
}

}  // namespace

FormatChoice bitmod(int64_t bits, int64_t group_size) {
  TORCH_CHECK_VALUE(bits == 3 || bits == 4, "[bitmod] bits: expected 3 or 4, got ", bits, ".");
  const std::vector<double> magnitudes =
      bits == 3 ? std::vector<double>{1, 2, 4} : std::vector<double>{1, 2, 3, 4, 6, 8, 12};
  const std::vector<double> specials =
      bits == 3 ? std::vector<double>{3, -3, 6, -6} : std::vector<double>{10, -10, 16, -16};
  FormatChoice choice;
  choice.quantizer =
      QuantSpec{}.let(PerGroup{.axis = -1, .group_size = group_size}, Threshold::kFullRange);
  for (const double special : specials) {
    TableFormat table{{0}};
    for (const double magnitude : magnitudes) table.values.push_back(magnitude);
    table.values.push_back(special);
    for (const double magnitude : magnitudes) table.values.push_back(-magnitude);
    choice.formats.emplace_back(table);
  }
  return choice;
}

ChosenTensor quantize(const FormatChoice& choice, const at::Tensor& x) {
  check_choice(choice);
  ChosenTensor best;
  at::Tensor least;
  const Granularity& granularity = choice.quantizer.granularity;
  for (size_t i = 0; i < choice.formats.size(); ++i) {
    const QuantSpec spec = spec_of(choice, i);
    const QuantParameters parameters = find_parameters(spec, x);
    const auto codes = quantize_codes(spec, x, parameters);
    const auto value = dequantize(spec, codes, parameters);
    const auto error = grouped((value - x.detach()).square(), granularity);
    const auto loss = error.sum_to_size(parameters.scale.sizes());
    if (!least.defined()) {
      best = {value, codes, at::zeros(loss.sizes(), codes.options().dtype(c10::ScalarType::Byte)),
              parameters};
      least = loss;
      continue;
    }
    const auto better = loss.lt(least), everywhere = spread(better, x, granularity);
    least = at::where(better, loss, least);
    best.value = at::where(everywhere, value, best.value);
    best.codes = at::where(everywhere, codes, best.codes);
    best.choice = best.choice.masked_fill(better, static_cast<int64_t>(i));
    best.parameters.scale = replace(better, parameters.scale, best.parameters.scale);
    best.parameters.zero_point = replace(better, parameters.zero_point, best.parameters.zero_point);
  }
  return best;
}

at::Tensor dequantize(const FormatChoice& choice, const ChosenTensor& tensor) {
  check_choice(choice);
  at::Tensor value;
  for (size_t i = 0; i < choice.formats.size(); ++i) {
    const QuantSpec spec = spec_of(choice, i);
    // Codes of groups that chose otherwise are no codes here.
    const auto chosen =
        spread(tensor.choice.eq(static_cast<int64_t>(i)), tensor.codes, spec.granularity);
    const auto codes =
        tensor.codes.masked_fill(chosen.logical_not(), code_range(spec.format).q_min);
    const auto found = dequantize(spec, codes, tensor.parameters);
    value = value.defined() ? at::where(chosen, found, value) : found;
  }
  return value;
}

}  // namespace laconic
