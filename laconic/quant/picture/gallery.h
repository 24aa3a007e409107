#pragma once

#include <string>
#include <vector>

namespace laconic {

/// A quantizer that shows one part; `docs/pictures/NAME.svg` is its picture.
struct Illustration {
  std::string name;  ///< "rounding-tanh"
  std::string yaml;  ///< "{bits: 3, rounding: tanh}"
};

/// One for each word of formats, scales, zero points, roundings and gradients that a picture tells
/// from its neighbours.
const std::vector<Illustration>& illustrations();

}  // namespace laconic
