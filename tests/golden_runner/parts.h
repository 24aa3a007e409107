#pragma once

#include <string>

#include "compare.h"
#include "laconic/quant/quantizer/quant_spec.h"
#include "options.h"

namespace laconic::golden {

// The vocabulary of the cases as parts of quantizers.

Rounding read_rounding(Options& options);
/// nearest_even | ceil | floor | toward_zero | dpu
Rounding rounding_of(const std::string& word);
/// The option clamp_gradient.
Gradient read_clamp_gradient(Options& options);
Restriction read_restriction(Options& options, const std::string& key = "scale_restrict");
/// bits may be fractional: the format then holds the whole bits above, and only its sign and range
/// count.
double read_bits(Options& options);
IntFormat make_format(double bits, bool is_signed, bool narrow_range);
/// exponent_bits, mantissa_bits and element_family.
MinifloatFormat read_minifloat(Options& options);
/// The options scale_stat and those of the statistic.
Statistic read_statistic(Options& options);
ZeroPoint read_zero_point(Options& options);
/// The granularity of a layer's weight. @param layer as in `read_layer`.
Granularity read_granularity(Options& options, const std::string& layer);
/// linear, conv1d, ... conv_transpose3d.
std::string read_layer(Options& options);
bool is_transposed(const std::string& layer);

/// The format of an activation, integer or minifloat.
Format read_format(Options& options);
/// What is recorded of a format: its bit widths, under names that begin with `prefix`.
void add_format_outputs(const std::string& prefix, const Format& format, Answer& answer);

/// The code that a statistic is mapped to: -q_min (signed) or q_max, and for powers of two the
/// number of codes on one side; the largest number of floats, or the power of two in it where
/// threshold_restrict says so.
Threshold threshold_of(const Format& format, const Restriction& restriction, Options& options);

/// Statistics over channels take those of `axis`.
void count_channels_of(Scale& scale, int64_t axis);

}  // namespace laconic::golden
