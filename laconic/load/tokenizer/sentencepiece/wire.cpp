#include "laconic/load/tokenizer/sentencepiece/wire.h"

#include <c10/util/Exception.h>

#include <cstring>

namespace laconic::tokenizer {

void WireReader::fail(const std::string& expected) const {
  TORCH_CHECK_VALUE(false, "[tokenizer] ", where_, ": offset ", at_, " of a message of ",
                    bytes_.size(), " bytes: expected ", expected,
                    ". Is the file a whole SentencePiece model?");
}

uint64_t WireReader::read_varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (at_ >= bytes_.size()) fail("more bytes of a number");
    const auto byte = static_cast<uint8_t>(bytes_[at_++]);
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  fail("a number of at most 10 bytes");
}

std::string_view WireReader::take(uint64_t size) {
  if (size > bytes_.size() - at_) fail(std::to_string(size) + " more bytes");
  const std::string_view data = bytes_.substr(at_, size);
  at_ += size;
  return data;
}

bool WireReader::next() {
  if (at_ >= bytes_.size()) return false;
  const uint64_t tag = read_varint();
  field_ = static_cast<uint32_t>(tag >> 3);
  kind_ = static_cast<uint32_t>(tag & 7);
  if (tag >> 3 == 0 || tag >> 32 != 0) fail("the number of a field");
  switch (kind_) {
    case kVarint:
      number_ = read_varint();
      return true;
    case kFixed64:
      data_ = take(8);
      return true;
    case kBytes:
      data_ = take(read_varint());
      return true;
    case kFixed32:
      data_ = take(4);
      return true;
    default:
      fail("a field of a known wire type, got type " + std::to_string(kind_));
  }
}

void WireReader::expect(Kind kind, const char* what) const {
  if (kind_ != kind) fail(std::string(what) + " in field " + std::to_string(field_));
}

uint64_t WireReader::varint() const {
  expect(kVarint, "a number");
  return number_;
}

float WireReader::float32() const {
  expect(kFixed32, "a float");
  float value = 0;
  std::memcpy(&value, data_.data(), sizeof value);
  return value;
}

std::string_view WireReader::bytes() const {
  expect(kBytes, "bytes");
  return data_;
}

}  // namespace laconic::tokenizer
