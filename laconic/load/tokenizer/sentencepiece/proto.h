#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace laconic::tokenizer {

/// The parts of sentencepiece_model.proto that encoding needs.
struct SentencePieceProto {
  enum class Type {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6
  };
  struct Piece {
    std::string text;
    float score = 0;
    Type type = Type::kNormal;
  };
  enum class Model { kUnigram = 1, kBpe = 2, kWord = 3, kChar = 4 };

  std::vector<Piece> pieces;  ///< id = position
  Model model = Model::kUnigram;
  bool byte_fallback = false;
  bool space_is_suffix = false;
  std::string bos_piece = "<s>", eos_piece = "</s>";
  std::string unknown_surface = " \xE2\x81\x87 ";  ///< what an unknown id decodes to
  std::string charsmap;
  bool add_dummy_prefix = true, remove_extra_spaces = true, escape_spaces = true;
};

/// @throws c10::ValueError with offset or piece: broken message, no or two unknown pieces, an empty
/// or repeated
///         piece, byte fallback without all 256 bytes, a text that is not UTF-8, a score that is
///         not finite.
SentencePieceProto read_sentencepiece(std::string_view bytes, const std::string& where);

}  // namespace laconic::tokenizer
