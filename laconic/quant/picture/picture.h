#pragma once

#include <string>

#include "laconic/quant/quantizer/quant_spec.h"

namespace laconic {

/// A quantizer as a picture: an SVG of three panels over x, from 1024 ascending numbers in [-3, 3],
/// dense near zero, with parameters found from them. Top: the value (staircase) beside x itself;
/// middle: value - x; bottom: the gradient of the value with respect to x, the parameters fixed.
/// The numbers are one row [1, 1024], so that groups are of axis 1 and a token is all of them.
/// @throws c10::ValueError  when the granularity does not fit the row.
std::string picture(const QuantSpec& spec);

}  // namespace laconic
