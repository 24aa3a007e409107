#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "laconic/base/atomic_file.h"
#include "laconic/base/mapped_file.h"

namespace laconic {

struct GgufArray;

/// A metadata value. The index of the alternative is the format's type number (0 u8 ... 12 f64).
using GgufValue = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool,
                               std::string, GgufArray, uint64_t, int64_t, double>;

/// A metadata array; the index of the alternative is the type number of its elements.
struct GgufArray {
  using Items = std::variant<std::vector<uint8_t>, std::vector<int8_t>, std::vector<uint16_t>,
                             std::vector<int16_t>, std::vector<uint32_t>, std::vector<int32_t>,
                             std::vector<float>, std::vector<bool>, std::vector<std::string>,
                             std::vector<GgufArray>, std::vector<uint64_t>, std::vector<int64_t>,
                             std::vector<double>>;
  Items items;
};

/// How the numbers of a tensor are stored; the value is the format's type number.
enum class GgufType : int32_t {
  F32 = 0,
  F16 = 1,
  Q4_0 = 2,
  Q4_1 = 3,
  Q5_0 = 6,
  Q5_1 = 7,
  Q8_0 = 8,
  Q2_K = 10,
  Q3_K = 11,
  Q4_K = 12,
  Q5_K = 13,
  Q6_K = 14,
  IQ4_NL = 20,
  BF16 = 30,
  TQ1_0 = 34,
  TQ2_0 = 35,
  MXFP4 = 39,
  NVFP4 = 40
};

/// A block is `length` consecutive numbers of a row, stored in `bytes` bytes.
struct GgufBlock {
  GgufType type;
  const char* name;
  int64_t length, bytes;
};
/// nullptr for a type number that this reader does not know.
const GgufBlock* find_block(int32_t type);
const GgufBlock& block_of(GgufType type);

/// Of a tensor's name, in bytes with the zero behind it, and of its shape.
constexpr size_t kGgufMaximumName = 64, kGgufMaximumDimensions = 4;

struct GgufTensor {
  std::string name;
  GgufType type = GgufType::F32;
  std::vector<int64_t> shape;      ///< slowest first, as LibTorch has it (the file has the reverse)
  uint64_t offset = 0, bytes = 0;  ///< offset from the start of the data section
};

/// What the front of a GGUF file says.
struct GgufHeader {
  uint32_t version = 3, alignment = 32;
  std::map<std::string, GgufValue> metadata;
  std::vector<GgufTensor> tensors;  ///< in order of offset
  uint64_t data_offset = 0;         ///< of the data section, from the start of the file
};

/// Reads and checks the header of the whole file `bytes`: counts, string lengths, nesting, types,
/// shapes, offsets.
/// @param where  starts every message, usually the path.
/// @throws c10::ValueError naming `where`, the key or tensor, and the offset.
GgufHeader parse_gguf_header(std::span<const std::byte> bytes, const std::string& where);

/// A GGUF file, mapped and checked.
class GgufFile {
 public:
  /// @throws c10::ValueError as parse_gguf_header.
  static std::shared_ptr<const GgufFile> open(const std::filesystem::path& path);
  const GgufHeader& header() const { return header_; }
  const GgufTensor* find(const std::string& name) const;  ///< nullptr when absent
  /// Stored bytes of a tensor. @throws c10::ValueError when absent.
  std::span<const std::byte> data(const std::string& name) const;
  /// Metadata of type T. @throws c10::ValueError when absent or of another type.
  template <typename T>
  const T& get(const std::string& key) const {
    const T* value = std::get_if<T>(&at(key));
    if (value == nullptr) fail_type(key);
    return *value;
  }

 private:
  const GgufValue& at(const std::string& key) const;
  [[noreturn]] void fail_type(const std::string& key) const;
  std::shared_ptr<const MappedFile> file_;
  GgufHeader header_;
};

/// Writes a GGUF file, whole or not at all: first every `put` and `declare`, then the data of the
/// tensors in the order in which they were declared. Only what one `write` gets is in memory.
class GgufWriter {
 public:
  explicit GgufWriter(const std::filesystem::path& path);
  /// @throws c10::ValueError for a key twice.
  void put(const std::string& key, GgufValue value);
  /// @param shape  as LibTorch has it; the last side is a multiple of the block's length.
  /// @throws c10::ValueError for a name twice or longer than 63 bytes, or a shape that the type
  /// cannot hold.
  void declare(const std::string& name, GgufType type, std::vector<int64_t> shape);
  /// The next bytes of data; a tensor may come in pieces (its rows, say), two tensors not in one
  /// piece.
  void write(std::span<const std::byte> bytes);
  /// All data has been written: the file appears under its name.
  void commit();
  uint64_t size() const { return file_.size(); }

 private:
  void write_header();
  void pad(uint64_t written);

  AtomicFile file_;
  std::string where_;
  std::map<std::string, GgufValue> metadata_;
  std::vector<std::string> order_;  ///< keys in the order given: general.architecture comes first
  std::vector<GgufTensor> tensors_;
  size_t current_ = 0;    ///< tensor being written
  uint64_t written_ = 0;  ///< bytes of it
  bool started_ = false;
};

}  // namespace laconic
