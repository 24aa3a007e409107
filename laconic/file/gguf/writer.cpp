#include <c10/util/Exception.h>

#include <cstring>

#include "laconic/base/assert.h"
#include "laconic/file/gguf/gguf.h"

namespace laconic {
namespace {

constexpr uint32_t kVersion = 3;
constexpr uint64_t kAlignment = 32;

template <typename T>
void append(std::string& out, T value) {
  const size_t at = out.size();
  out.resize(at + sizeof(T));
  std::memcpy(out.data() + at, &value, sizeof(T));
}

void append(std::string& out, const std::string& text) {
  append(out, static_cast<uint64_t>(text.size()));
  out += text;
}

void append(std::string& out, const GgufArray& array) {
  append(out, static_cast<int32_t>(array.items.index()));
  std::visit(
      [&](const auto& items) {
        using T = typename std::decay_t<decltype(items)>::value_type;
        append(out, static_cast<uint64_t>(items.size()));
        for (const T& item : items) append(out, item);
      },
      array.items);
}

void append(std::string& out, const GgufValue& value) {
  append(out, static_cast<int32_t>(value.index()));
  std::visit([&](const auto& one) { append(out, one); }, value);
}

void append(std::string& out, const GgufTensor& tensor) {
  append(out, tensor.name);
  append(out, static_cast<uint32_t>(tensor.shape.size()));
  for (auto side = tensor.shape.rbegin(); side != tensor.shape.rend(); ++side) append(out, *side);
  append(out, static_cast<int32_t>(tensor.type));
  append(out, tensor.offset);
}

uint64_t padding(uint64_t size) { return (kAlignment - size % kAlignment) % kAlignment; }

}  // namespace

GgufWriter::GgufWriter(const std::filesystem::path& path)
    : file_(path), where_("[gguf] " + path.string()) {}

void GgufWriter::put(const std::string& key, GgufValue value) {
  LACONIC_ASSERT(!started_, "put after data");
  TORCH_CHECK_VALUE(metadata_.emplace(key, std::move(value)).second, where_,
                    ": expected every key once, got \"", key, "\" twice.");
  order_.push_back(key);
}

void GgufWriter::declare(const std::string& name, GgufType type, std::vector<int64_t> shape) {
  LACONIC_ASSERT(!started_, "declare after data");
  TORCH_CHECK_VALUE(!name.empty() && name.size() < kGgufMaximumName, where_, ": tensor \"", name,
                    "\": expected a name of 1 to 63 bytes, got ", name.size(), ".");
  const GgufBlock& block = block_of(type);
  bool fits =
      !shape.empty() && shape.size() <= kGgufMaximumDimensions && shape.back() % block.length == 0;
  uint64_t count = 1;
  for (const int64_t side : shape)
    fits = fits && side > 0 && !__builtin_mul_overflow(count, static_cast<uint64_t>(side), &count);
  TORCH_CHECK_VALUE(fits, where_, ": tensor \"", name,
                    "\": expected 1 to 4 sides, the last a multiple of ", block.length, " for ",
                    block.name, ", got another shape.");
  GgufTensor tensor{.name = name, .type = type, .shape = std::move(shape)};
  for (const GgufTensor& other : tensors_) {
    TORCH_CHECK_VALUE(other.name != name, where_, ": expected every tensor once, got \"", name,
                      "\" twice.");
  }
  if (!tensors_.empty()) {
    const GgufTensor& last = tensors_.back();
    tensor.offset = last.offset + last.bytes + padding(last.bytes);
  }
  tensor.bytes = count / static_cast<uint64_t>(block.length) * static_cast<uint64_t>(block.bytes);
  tensors_.push_back(std::move(tensor));
}

void GgufWriter::write_header() {
  started_ = true;
  std::string header = "GGUF";
  append(header, kVersion);
  append(header, static_cast<uint64_t>(tensors_.size()));
  append(header, static_cast<uint64_t>(metadata_.size()));
  for (const std::string& key : order_) {
    append(header, key);
    append(header, metadata_.at(key));
  }
  for (const GgufTensor& tensor : tensors_) append(header, tensor);
  file_.write(header);
  pad(header.size());
}

void GgufWriter::pad(uint64_t written) { file_.write(std::string(padding(written), '\0')); }

void GgufWriter::write(std::span<const std::byte> bytes) {
  if (!started_) write_header();
  LACONIC_ASSERT(current_ < tensors_.size(), "data after the last tensor");
  const GgufTensor& tensor = tensors_[current_];
  LACONIC_ASSERT(written_ + bytes.size() <= tensor.bytes, "tensor ", tensor.name, " takes ",
                 tensor.bytes, " bytes");
  file_.write(bytes);
  written_ += bytes.size();
  if (written_ < tensor.bytes) return;
  pad(tensor.bytes);
  ++current_;
  written_ = 0;
}

void GgufWriter::commit() {
  if (!started_) write_header();
  LACONIC_ASSERT(current_ == tensors_.size(), "tensor ", tensors_[current_].name,
                 " was not written");
  file_.commit();
}

}  // namespace laconic
