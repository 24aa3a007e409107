#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace laconic::tokenizer {

/// Reads the fields of one protobuf message from bytes that nobody vouches for.
class WireReader {
 public:
  WireReader(std::string_view bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  /// Goes to the next field; false at the end.
  /// @throws c10::ValueError with the offset when the bytes are no message.
  bool next();

  uint32_t field() const { return field_; }
  /// The value as what the schema says it is. @throws c10::ValueError when it is stored as
  /// something else.
  uint64_t varint() const;
  float float32() const;
  std::string_view bytes() const;

 private:
  enum Kind : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
  uint64_t read_varint();
  std::string_view take(uint64_t size);
  void expect(Kind kind, const char* what) const;
  [[noreturn]] void fail(const std::string& expected) const;

  std::string_view bytes_;
  const std::string& where_;
  size_t at_ = 0;
  uint32_t field_ = 0, kind_ = 0;
  uint64_t number_ = 0;
  std::string_view data_;
};

}  // namespace laconic::tokenizer
