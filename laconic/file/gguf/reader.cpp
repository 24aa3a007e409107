#include <c10/util/Exception.h>

#include <array>
#include <cstring>
#include <limits>
#include <set>

#include "laconic/file/gguf/gguf.h"

namespace laconic {
namespace {

constexpr std::array kBlocks = {
    GgufBlock{GgufType::F32, "F32", 1, 4},        GgufBlock{GgufType::F16, "F16", 1, 2},
    GgufBlock{GgufType::Q4_0, "Q4_0", 32, 18},    GgufBlock{GgufType::Q4_1, "Q4_1", 32, 20},
    GgufBlock{GgufType::Q5_0, "Q5_0", 32, 22},    GgufBlock{GgufType::Q5_1, "Q5_1", 32, 24},
    GgufBlock{GgufType::Q8_0, "Q8_0", 32, 34},    GgufBlock{GgufType::BF16, "BF16", 1, 2},
    GgufBlock{GgufType::Q2_K, "Q2_K", 256, 84},   GgufBlock{GgufType::Q3_K, "Q3_K", 256, 110},
    GgufBlock{GgufType::Q4_K, "Q4_K", 256, 144},  GgufBlock{GgufType::Q5_K, "Q5_K", 256, 176},
    GgufBlock{GgufType::Q6_K, "Q6_K", 256, 210},  GgufBlock{GgufType::IQ4_NL, "IQ4_NL", 32, 18},
    GgufBlock{GgufType::TQ1_0, "TQ1_0", 256, 54}, GgufBlock{GgufType::TQ2_0, "TQ2_0", 256, 66},
    GgufBlock{GgufType::MXFP4, "MXFP4", 32, 17},  GgufBlock{GgufType::NVFP4, "NVFP4", 64, 36},
};
constexpr int kMaximumNesting = 4;
constexpr uint32_t kMaximumAlignment = 1U << 20;
constexpr uint64_t kSmallestPair = 13, kSmallestTensor = 24, kSmallestArray = 12,
                   kSmallestString = 8;

std::string known_types() {
  std::string names;
  for (const GgufBlock& block : kBlocks)
    names += (names.empty() ? "" : ", ") + std::string(block.name);
  return names;
}

// Reads from the front of the file; nothing is read that is not there.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const std::string& where)
      : bytes_(bytes), where_(where) {}

  uint64_t offset() const { return offset_; }
  uint64_t left() const { return bytes_.size() - offset_; }

  template <typename T>
  T read(const std::string& what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  std::string read_string(const std::string& what) {
    const auto length = read<uint64_t>(what);
    const auto bytes = take(length, what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  // A count of things that take at least `smallest` bytes each: it cannot exceed what is left.
  uint64_t read_count(uint64_t smallest, const std::string& what) {
    const uint64_t at = offset_;
    const auto count = read<uint64_t>(what);
    TORCH_CHECK_VALUE(count <= left() / smallest, where_, ": ", what, " at offset ", at,
                      ": expected at most ", left() / smallest,
                      " (what the file has room for), got ", count, ". The file is damaged.");
    return count;
  }

 private:
  std::span<const std::byte> take(uint64_t length, const std::string& what) {
    TORCH_CHECK_VALUE(length <= left(), where_, ": ", what, " at offset ", offset_, ": expected ",
                      length, " more bytes, got the end of the file after ", left(),
                      ". The file is cut short or damaged.");
    offset_ += length;
    return bytes_.subspan(offset_ - length, length);
  }

  std::span<const std::byte> bytes_;
  const std::string& where_;
  uint64_t offset_ = 0;
};

bool read_bool(Cursor& cursor, const std::string& what, const std::string& where) {
  const auto value = cursor.read<uint8_t>(what);
  TORCH_CHECK_VALUE(value <= 1, where, ": ", what, ": expected a bool (0 or 1), got ", int{value},
                    ".");
  return value == 1;
}

class ValueReader {
 public:
  ValueReader(Cursor& cursor, const std::string& where) : cursor_(cursor), where_(where) {}

  GgufValue read(const std::string& key) { return read_typed(read_type(key), key); }

 private:
  int32_t read_type(const std::string& key) {
    const auto type = cursor_.read<int32_t>(key);
    TORCH_CHECK_VALUE(type >= 0 && type < static_cast<int32_t>(std::variant_size_v<GgufValue>),
                      where_, ": ", key, ": expected a value type from 0 to 12, got ", type, ".");
    return type;
  }

  GgufValue read_typed(int32_t type, const std::string& key) {
    GgufValue value;
    visit_index<GgufValue>(type, [&]<typename T>(T*) { value = read_one<T>(key, 0); });
    return value;
  }

  template <typename T>
  T read_one(const std::string& key, int depth) {
    if constexpr (std::is_same_v<T, std::string>)
      return cursor_.read_string(key);
    else if constexpr (std::is_same_v<T, GgufArray>)
      return read_array(key, depth + 1);
    else if constexpr (std::is_same_v<T, bool>)
      return read_bool(cursor_, key, where_);
    else
      return cursor_.read<T>(key);
  }

  GgufArray read_array(const std::string& key, int depth) {
    TORCH_CHECK_VALUE(depth <= kMaximumNesting, where_, ": ", key,
                      ": expected arrays nested at most ", kMaximumNesting,
                      " deep, got deeper nesting.");
    const int32_t type = read_type(key);
    GgufArray array;
    visit_index<GgufArray::Items>(type, [&]<typename Vector>(Vector*) {
      using T = typename Vector::value_type;
      const uint64_t count = cursor_.read_count(smallest<T>(), key + " (length)");
      Vector items;
      items.reserve(count);
      for (uint64_t i = 0; i < count; ++i) items.push_back(read_one<T>(key, depth));
      array.items = std::move(items);
    });
    return array;
  }

  template <typename T>
  static constexpr uint64_t smallest() {
    if constexpr (std::is_same_v<T, std::string>)
      return kSmallestString;
    else if constexpr (std::is_same_v<T, GgufArray>)
      return kSmallestArray;
    else
      return sizeof(T);
  }

  // Calls `function` with a null pointer to the alternative number `index`.
  template <typename Variant, typename Function>
  static void visit_index(int32_t index, Function&& function) {
    [&]<size_t... kIndex>(std::index_sequence<kIndex...>) {
      ((static_cast<size_t>(index) == kIndex
            ? function(static_cast<std::variant_alternative_t<kIndex, Variant>*>(nullptr))
            : void()),
       ...);
    }
    (std::make_index_sequence<std::variant_size_v<Variant>>{});
  }

  Cursor& cursor_;
  const std::string& where_;
};

// Sides of a tensor in LibTorch's order; `bytes` of the tensor is set too.
void read_shape(Cursor& cursor, GgufTensor& tensor, const std::string& where) {
  const auto dimensions = cursor.read<uint32_t>("number of dimensions");
  TORCH_CHECK_VALUE(dimensions <= kGgufMaximumDimensions, where, ": expected at most ",
                    kGgufMaximumDimensions, " dimensions, got ", dimensions, ".");
  uint64_t count = 1;
  for (uint32_t i = 0; i < dimensions; ++i) {
    const auto side = cursor.read<uint64_t>("side");
    const bool fits =
        side >= 1 && !__builtin_mul_overflow(count, side, &count) && count <= (uint64_t{1} << 60);
    TORCH_CHECK_VALUE(fits, where, ": expected sides >= 1 with a product below 2^60, got ", side,
                      " as side ", i, ".");
    tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(side));
  }
  const auto type = cursor.read<int32_t>("type");
  const GgufBlock* block = find_block(type);
  TORCH_CHECK_VALUE(block != nullptr, where, ": expected one of the types {", known_types(),
                    "}, got number ", type, ".");
  const int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  TORCH_CHECK_VALUE(row % block->length == 0, where, ": expected rows of a multiple of ",
                    block->length, " for ", block->name, ", got ", row, ".");
  tensor.type = block->type;
  tensor.bytes = count / static_cast<uint64_t>(block->length) * static_cast<uint64_t>(block->bytes);
}

uint64_t round_up(uint64_t value, uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

void read_metadata(Cursor& cursor, uint64_t count, GgufHeader& header, const std::string& where) {
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t at = cursor.offset();
    const std::string key = cursor.read_string("key number " + std::to_string(i));
    GgufValue value = ValueReader(cursor, where).read("key \"" + key + "\"");
    TORCH_CHECK_VALUE(header.metadata.emplace(key, std::move(value)).second, where, ": key \"", key,
                      "\" at offset ", at, ": expected every key once, got it twice.");
  }
  const auto found = header.metadata.find("general.alignment");
  if (found == header.metadata.end()) return;
  const auto* alignment = std::get_if<uint32_t>(&found->second);
  const bool good = alignment != nullptr && *alignment > 0 && *alignment <= kMaximumAlignment &&
                    (*alignment & (*alignment - 1)) == 0;
  TORCH_CHECK_VALUE(good, where, ": general.alignment: expected a power of two (u32) up to ",
                    kMaximumAlignment, ".");
  header.alignment = *alignment;
}

void read_tensors(Cursor& cursor, uint64_t count, GgufHeader& header, const std::string& file) {
  std::set<std::string> names;
  uint64_t end = 0;
  for (uint64_t i = 0; i < count; ++i) {
    GgufTensor tensor;
    tensor.name = cursor.read_string("name of tensor number " + std::to_string(i));
    const std::string where = file + ": tensor \"" + tensor.name.substr(0, kGgufMaximumName) + "\"";
    TORCH_CHECK_VALUE(tensor.name.size() < kGgufMaximumName, where,
                      ": expected a name below 64 bytes, got ", tensor.name.size(), ".");
    TORCH_CHECK_VALUE(names.insert(tensor.name).second, where,
                      ": expected every name once, got it twice.");
    read_shape(cursor, tensor, where);
    tensor.offset = cursor.read<uint64_t>("offset");
    TORCH_CHECK_VALUE(tensor.offset == end, where, ": expected the offset ", end,
                      " (the end of the tensor before it, aligned), got ", tensor.offset, ".");
    end = round_up(tensor.offset + tensor.bytes, header.alignment);
    TORCH_CHECK_VALUE(end <= (uint64_t{1} << 62), where,
                      ": expected less than 2^62 bytes of data, got more.");
    header.tensors.push_back(std::move(tensor));
  }
}

}  // namespace

const GgufBlock* find_block(int32_t type) {
  for (const GgufBlock& block : kBlocks) {
    if (static_cast<int32_t>(block.type) == type) return &block;
  }
  return nullptr;
}

const GgufBlock& block_of(GgufType type) { return *find_block(static_cast<int32_t>(type)); }

GgufHeader parse_gguf_header(std::span<const std::byte> bytes, const std::string& file) {
  const std::string where = "[gguf] " + file;
  Cursor cursor(bytes, where);
  const auto magic = cursor.read<std::array<char, 4>>("magic");
  TORCH_CHECK_VALUE(std::memcmp(magic.data(), "GGUF", 4) == 0, where,
                    ": expected the letters GGUF at offset 0, got others.");
  GgufHeader header;
  header.version = cursor.read<uint32_t>("version");
  TORCH_CHECK_VALUE(header.version == 2 || header.version == 3, where,
                    ": expected version 2 or 3, got ", header.version,
                    (header.version & 0xffff) == 0 ? " (a big-endian file)." : ".");
  const uint64_t tensors = cursor.read_count(kSmallestTensor, "number of tensors");
  const uint64_t pairs = cursor.read_count(kSmallestPair, "number of keys");
  read_metadata(cursor, pairs, header, where);
  read_tensors(cursor, tensors, header, where);
  header.data_offset = round_up(cursor.offset(), header.alignment);
  if (header.tensors.empty()) return header;
  const GgufTensor& last = header.tensors.back();
  const uint64_t end = header.data_offset + last.offset + last.bytes;
  TORCH_CHECK_VALUE(end <= bytes.size(), where, ": tensor \"", last.name, "\" ends at offset ", end,
                    ": expected an end within the ", bytes.size(),
                    " bytes of the file. The file is cut short.");
  return header;
}

std::shared_ptr<const GgufFile> GgufFile::open(const std::filesystem::path& path) {
  auto opened = std::make_shared<GgufFile>();
  opened->file_ = MappedFile::open(path);
  opened->header_ = parse_gguf_header(opened->file_->bytes(), path.string());
  return opened;
}

const GgufTensor* GgufFile::find(const std::string& name) const {
  for (const GgufTensor& tensor : header_.tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

std::span<const std::byte> GgufFile::data(const std::string& name) const {
  const GgufTensor* tensor = find(name);
  TORCH_CHECK_VALUE(tensor != nullptr, "[gguf] ", file_->path().string(), ": expected a tensor \"",
                    name, "\", got none.");
  return file_->bytes().subspan(header_.data_offset + tensor->offset, tensor->bytes);
}

const GgufValue& GgufFile::at(const std::string& key) const {
  const auto found = header_.metadata.find(key);
  TORCH_CHECK_VALUE(found != header_.metadata.end(), "[gguf] ", file_->path().string(),
                    ": expected a key \"", key, "\", got none.");
  return found->second;
}

void GgufFile::fail_type(const std::string& key) const {
  TORCH_CHECK_VALUE(false, "[gguf] ", file_->path().string(), ": key \"", key,
                    "\": expected another type, got type ", at(key).index(), ".");
}

}  // namespace laconic
