#include "laconic/load/tokenizer/sentencepiece/proto.h"

#include <c10/util/Exception.h>

#include <cmath>
#include <unordered_set>

#include "laconic/base/text.h"
#include "laconic/load/tokenizer/sentencepiece/wire.h"
#include "laconic/load/tokenizer/text/utf8.h"

namespace laconic::tokenizer {
namespace {

using Proto = SentencePieceProto;

Proto::Piece read_piece(std::string_view bytes, const std::string& where) {
  Proto::Piece piece;
  uint64_t type = 1;
  for (WireReader reader(bytes, where); reader.next();) {
    switch (reader.field()) {
      case 1:
        piece.text = reader.bytes();
        break;
      case 2:
        piece.score = reader.float32();
        break;
      case 3:
        type = reader.varint();
        break;
      default:
        break;  // an extension
    }
  }
  TORCH_CHECK_VALUE(type >= 1 && type <= 6, "[tokenizer] ", where, ": piece \"",
                    piece.text.substr(0, 40), "\": expected a type from 1 to 6, got ", type,
                    ". Is the file a SentencePiece model?");
  piece.type = static_cast<Proto::Type>(type);
  return piece;
}

void read_trainer(std::string_view bytes, const std::string& where, Proto& proto) {
  for (WireReader reader(bytes, where); reader.next();) {
    switch (reader.field()) {
      case 3: {
        const uint64_t model = reader.varint();
        TORCH_CHECK_VALUE(model >= 1 && model <= 4, "[tokenizer] ", where,
                          ": trainer_spec.model_type: expected 1 to 4, got ", model,
                          ". Is the file whole?");
        proto.model = static_cast<Proto::Model>(model);
        break;
      }
      case 24:
        proto.space_is_suffix = reader.varint() != 0;
        break;
      case 35:
        proto.byte_fallback = reader.varint() != 0;
        break;
      case 44:
        proto.unknown_surface = reader.bytes();
        break;
      case 46:
        proto.bos_piece = reader.bytes();
        break;
      case 47:
        proto.eos_piece = reader.bytes();
        break;
      default:
        break;  // how it was trained
    }
  }
}

void read_normalizer(std::string_view bytes, const std::string& where, Proto& proto) {
  for (WireReader reader(bytes, where); reader.next();) {
    switch (reader.field()) {
      case 2:
        proto.charsmap = reader.bytes();
        break;
      case 3:
        proto.add_dummy_prefix = reader.varint() != 0;
        break;
      case 4:
        proto.remove_extra_spaces = reader.varint() != 0;
        break;
      case 5:
        proto.escape_spaces = reader.varint() != 0;
        break;
      default:
        break;  // its name, its source
    }
  }
}

bool is_byte_token(const std::string& text) {
  for (int byte = 0; byte < 256; ++byte) {
    if (text == byte_token(static_cast<uint8_t>(byte))) return true;
  }
  return false;
}

void check_pieces(const Proto& proto, const std::string& where) {
  std::unordered_set<std::string_view> seen;
  size_t unknown = 0;
  for (size_t id = 0; id < proto.pieces.size(); ++id) {
    const Proto::Piece& piece = proto.pieces[id];
    const bool good = !piece.text.empty() && is_utf8(piece.text) && std::isfinite(piece.score);
    TORCH_CHECK_VALUE(good, "[tokenizer] ", where, ": piece ", id,
                      ": expected text in UTF-8 with a finite score, got ", piece.text.size(),
                      " bytes and score ", piece.score, ". Is the file whole?");
    TORCH_CHECK_VALUE(seen.insert(piece.text).second, "[tokenizer] ", where, ": piece ", id,
                      ": expected a piece of its own, got \"", piece.text,
                      "\" again. Is the file whole?");
    TORCH_CHECK_VALUE(piece.type != Proto::Type::kByte || is_byte_token(piece.text), "[tokenizer] ",
                      where, ": piece ", id, ": expected a byte such as <0x0A>, got \"", piece.text,
                      "\". Is the file whole?");
    unknown += piece.type == Proto::Type::kUnknown ? 1 : 0;
  }
  TORCH_CHECK_VALUE(unknown == 1, "[tokenizer] ", where, ": expected one unknown piece among ",
                    proto.pieces.size(), ", got ", unknown, ". Is the file a SentencePiece model?");
  for (int byte = 0; proto.byte_fallback && byte < 256; ++byte) {
    const std::string token = byte_token(static_cast<uint8_t>(byte));
    TORCH_CHECK_VALUE(seen.contains(token), "[tokenizer] ", where,
                      ": byte_fallback: expected a piece for every byte, got none for ", token,
                      ". Is the file whole?");
  }
}

}  // namespace

SentencePieceProto read_sentencepiece(std::string_view bytes, const std::string& where) {
  Proto proto;
  for (WireReader reader(bytes, where); reader.next();) {
    switch (reader.field()) {
      case 1:
        proto.pieces.push_back(read_piece(reader.bytes(), where));
        break;
      case 2:
        read_trainer(reader.bytes(), where, proto);
        break;
      case 3:
        read_normalizer(reader.bytes(), where, proto);
        break;
      default:
        break;  // self-test data, the way back
    }
  }
  check_pieces(proto, where);
  return proto;
}

}  // namespace laconic::tokenizer
