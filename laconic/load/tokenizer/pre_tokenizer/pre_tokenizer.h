#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "laconic/load/tokenizer/json_field.h"
#include "laconic/load/tokenizer/normalizer/normalizer.h"

namespace laconic::tokenizer {

/// A stretch of text, or a token that was found already.
struct Piece : Text {
  static constexpr int64_t kText = -1;
  int64_t id = kText;
};

/// Splits the pieces that are text; pieces that are tokens pass.
using PreTokenizer = std::function<void(std::vector<Piece>&)>;

/// Makes the pre-tokenizer that `field` describes.
/// @throws c10::ValueError for an unknown kind (lists the known ones) or a wrong field.
PreTokenizer make_pre_tokenizer(const JsonField& field);

}  // namespace laconic::tokenizer
