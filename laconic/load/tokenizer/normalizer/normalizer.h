#pragma once

#include <functional>
#include <string>

#include "laconic/load/tokenizer/json_field.h"

namespace laconic::tokenizer {

/// A stretch of the input on its way to ids.
struct Text {
  std::string text;
  /// Its first character comes from the first character of the whole input: Metaspace's "first"
  /// asks for that.
  bool at_start = false;
};

/// Changes the characters of a stretch.
using Normalizer = std::function<void(Text&)>;

/// Makes the normalizer that `field` describes.
/// @throws c10::ValueError for an unknown kind (lists the known ones) or a wrong field.
Normalizer make_normalizer(const JsonField& field);

/// SentencePiece's precompiled_charsmap (base64 in "precompiled_charsmap").
Normalizer make_precompiled(const JsonField& field);

}  // namespace laconic::tokenizer
