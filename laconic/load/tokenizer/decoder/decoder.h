#pragma once

#include <functional>
#include <string>
#include <vector>

#include "laconic/load/tokenizer/json_field.h"

namespace laconic::tokenizer {

/// Turns tokens into stretches of text, which are then joined.
using Decoder = std::function<void(std::vector<std::string>&)>;

/// Makes the decoder that `field` describes.
/// @throws c10::ValueError for an unknown kind (lists the known ones) or a wrong field.
Decoder make_decoder(const JsonField& field);

}  // namespace laconic::tokenizer
