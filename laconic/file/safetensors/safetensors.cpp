#include "laconic/file/safetensors/safetensors.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/util/Exception.h>

#include <array>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "laconic/file/json/json.h"

namespace laconic {
namespace {

constexpr size_t kBand = size_t{64} << 20;  // bytes written at once

constexpr uint64_t kMaximumHeader = 100'000'000;  // the reference implementation refuses more
constexpr size_t kLengthBytes = 8, kHeaderAlignment = 64;
constexpr const char* kMetadata = "__metadata__";

struct DtypeName {
  const char* name;
  at::ScalarType dtype;
};
constexpr std::array kDtypes = {
    DtypeName{"F64", at::ScalarType::Double},
    DtypeName{"F32", at::ScalarType::Float},
    DtypeName{"F16", at::ScalarType::Half},
    DtypeName{"BF16", at::ScalarType::BFloat16},
    DtypeName{"I64", at::ScalarType::Long},
    DtypeName{"I32", at::ScalarType::Int},
    DtypeName{"I16", at::ScalarType::Short},
    DtypeName{"I8", at::ScalarType::Char},
    DtypeName{"U64", at::ScalarType::UInt64},
    DtypeName{"U32", at::ScalarType::UInt32},
    DtypeName{"U16", at::ScalarType::UInt16},
    DtypeName{"U8", at::ScalarType::Byte},
    DtypeName{"BOOL", at::ScalarType::Bool},
    DtypeName{"F8_E4M3", at::ScalarType::Float8_e4m3fn},
    DtypeName{"F8_E5M2", at::ScalarType::Float8_e5m2},
    DtypeName{"F8_E8M0", at::ScalarType::Float8_e8m0fnu},
    DtypeName{"C64", at::ScalarType::ComplexFloat},
};

at::ScalarType parse_dtype(const nlohmann::json& value, const std::string& where) {
  std::string known;
  for (const DtypeName& row : kDtypes) {
    if (value.is_string() && value.get_ref<const std::string&>() == row.name) return row.dtype;
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  TORCH_CHECK_VALUE(false, where, " dtype: expected one of {", known, "}, got ", value.dump(), ".");
}

std::string dtype_name(at::ScalarType dtype, const std::string& where) {
  for (const DtypeName& row : kDtypes) {
    if (row.dtype == dtype) return row.name;
  }
  TORCH_CHECK_VALUE(false, where, ": expected a dtype that safetensors has, got ", dtype,
                    ". Convert the tensor first.");
}

const nlohmann::json& field(const nlohmann::json& object, const char* key,
                            const std::string& where) {
  TORCH_CHECK_VALUE(object.contains(key), where, ": expected a field \"", key,
                    "\", got none. The file is damaged.");
  return object.at(key);
}

// Bytes of `shape` elements; an overflow is an error.
uint64_t parse_shape(const nlohmann::json& value, SafetensorsEntry& entry,
                     const std::string& where) {
  TORCH_CHECK_VALUE(value.is_array(), where, " shape: expected a list of sizes, got ", value.dump(),
                    ".");
  uint64_t bytes = c10::elementSize(entry.dtype);
  bool fits = true, empty = false;
  for (const nlohmann::json& size : value) {
    TORCH_CHECK_VALUE(size.is_number_unsigned(), where, " shape: expected whole sizes >= 0, got ",
                      size.dump(), ".");
    const auto length = size.get<uint64_t>();
    empty = empty || length == 0;
    fits = fits && length <= std::numeric_limits<int64_t>::max();
    // Also the product without the zeros must fit: strides are made of it.
    fits = fits && !__builtin_mul_overflow(bytes, std::max<uint64_t>(length, 1), &bytes);
    fits = fits && bytes <= std::numeric_limits<int64_t>::max();
    TORCH_CHECK_VALUE(fits, where, " shape: expected at most 2^63 - 1 bytes, got ", value.dump(),
                      ". The file is damaged or hostile.");
    entry.shape.push_back(static_cast<int64_t>(length));
  }
  return empty ? 0 : bytes;
}

void parse_offsets(const nlohmann::json& value, SafetensorsEntry& entry, uint64_t data_bytes,
                   const std::string& where) {
  const bool pair = value.is_array() && value.size() == 2 && value[0].is_number_unsigned() &&
                    value[1].is_number_unsigned();
  TORCH_CHECK_VALUE(pair, where, " data_offsets: expected [begin, end], got ", value.dump(), ".");
  entry.begin = value[0].get<uint64_t>();
  entry.end = value[1].get<uint64_t>();
  TORCH_CHECK_VALUE(entry.begin <= entry.end, where, " data_offsets: expected begin <= end, got ",
                    value.dump(), ".");
  TORCH_CHECK_VALUE(entry.end <= data_bytes, where, " data_offsets: expected an end within the ",
                    data_bytes, " bytes of data, got ", value.dump(),
                    ". The file is cut short or damaged; fetch it again.");
}

SafetensorsEntry parse_entry(const std::string& name, const nlohmann::json& value,
                             uint64_t data_bytes, const std::string& file) {
  const std::string where = file + ": tensor \"" + name + "\"";
  TORCH_CHECK_VALUE(value.is_object(), where, ": expected {dtype, shape, data_offsets}, got ",
                    value.type_name(), ".");
  for (const auto& [key, unused] : value.items()) {
    TORCH_CHECK_VALUE(key == "dtype" || key == "shape" || key == "data_offsets", where,
                      ": expected {dtype, shape, data_offsets}, got the unknown field \"", key,
                      "\".");
  }
  SafetensorsEntry entry;
  entry.name = name;
  entry.dtype = parse_dtype(field(value, "dtype", where), where);
  const uint64_t bytes = parse_shape(field(value, "shape", where), entry, where);
  parse_offsets(field(value, "data_offsets", where), entry, data_bytes, where);
  TORCH_CHECK_VALUE(bytes == entry.end - entry.begin, where, ": expected ", bytes, " bytes for ",
                    value["dtype"].dump(), " ", value["shape"].dump(), ", got data_offsets ",
                    value["data_offsets"].dump(), " (", entry.end - entry.begin, " bytes).");
  return entry;
}

std::map<std::string, std::string> parse_metadata(const nlohmann::json& value,
                                                  const std::string& where) {
  TORCH_CHECK_VALUE(value.is_object(), where, ": ", kMetadata,
                    ": expected an object of strings, got ", value.type_name(), ".");
  std::map<std::string, std::string> metadata;
  for (const auto& [key, text] : value.items()) {
    TORCH_CHECK_VALUE(text.is_string(), where, ": ", kMetadata, " \"", key,
                      "\": expected a string, got ", text.type_name(), ".");
    metadata[key] = text.get<std::string>();
  }
  return metadata;
}

// Tensors must cover the data section: no byte twice, none unused.
void check_coverage(std::vector<SafetensorsEntry>& entries, uint64_t data_bytes,
                    const std::string& where) {
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  uint64_t end = 0;
  for (const SafetensorsEntry& entry : entries) {
    TORCH_CHECK_VALUE(entry.begin >= end, where, ": tensor \"", entry.name,
                      "\" overlaps its neighbour: expected a begin of ", end, ", got ", entry.begin,
                      ". The file is damaged.");
    TORCH_CHECK_VALUE(entry.begin == end, where, ": hole before tensor \"", entry.name,
                      "\": expected a begin of ", end, ", got ", entry.begin,
                      ". The file is damaged.");
    end = entry.end;
  }
  TORCH_CHECK_VALUE(end == data_bytes, where, ": expected the tensors to fill the ", data_bytes,
                    " bytes of data, got tensors that end at ", end, ". The file is damaged.");
}

void check_names(const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                 const std::string& where) {
  std::set<std::string> names;
  for (const auto& [name, tensor] : tensors) {
    TORCH_CHECK_VALUE(name != kMetadata, where, ": \"", kMetadata,
                      "\" cannot name a tensor. Choose another name.");
    TORCH_CHECK_VALUE(names.insert(name).second, where, ": expected every name once, got \"", name,
                      "\" twice.");
    TORCH_CHECK_VALUE(tensor.defined(), where, ": tensor \"", name, "\" is undefined.");
  }
}

// Length, JSON, spaces up to the alignment.
std::string make_header(const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                        const std::map<std::string, std::string>& metadata,
                        const std::string& where) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!metadata.empty()) json[kMetadata] = metadata;
  uint64_t end = 0;
  for (const auto& [name, tensor] : tensors) {
    const uint64_t begin = end;
    end += tensor.nbytes();
    json[name] = {{"dtype", dtype_name(tensor.scalar_type(), where + ": tensor \"" + name + "\"")},
                  {"shape", tensor.sizes().vec()},
                  {"data_offsets", {begin, end}}};
  }
  std::string text;
  try {
    text = json.dump();
  } catch (const nlohmann::json::exception& error) {
    TORCH_CHECK_VALUE(false, where,
                      ": expected names and metadata in UTF-8, got an error: ", error.what(), ".");
  }
  text.append(
      (kHeaderAlignment - (kLengthBytes + text.size()) % kHeaderAlignment) % kHeaderAlignment, ' ');
  const uint64_t length = text.size();
  std::string header(kLengthBytes, '\0');
  std::memcpy(header.data(), &length, kLengthBytes);
  return header + text;
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> bytes,
                                           const std::string& file) {
  const std::string where = "[safetensors] " + file;
  TORCH_CHECK_VALUE(bytes.size() >= kLengthBytes, where,
                    ": expected at least 8 bytes (the header's length), got ", bytes.size(),
                    ". The file is cut short; fetch it again.");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  TORCH_CHECK_VALUE(
      length >= 2 && length <= kMaximumHeader && length <= bytes.size() - kLengthBytes, where,
      ": header length at offset 0: expected 2 to ",
      std::min(kMaximumHeader, bytes.size() - kLengthBytes), ", got ", length,
      ". The file is cut short, or not safetensors.");
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, length);
  const nlohmann::json json = parse_json(text, where + ": header", 8);
  TORCH_CHECK_VALUE(json.is_object(), where, ": header: expected an object, got ", json.type_name(),
                    ".");
  SafetensorsHeader header;
  header.data_offset = kLengthBytes + length;
  const uint64_t data_bytes = bytes.size() - header.data_offset;
  for (const auto& [name, value] : json.items()) {
    if (name == kMetadata) {
      header.metadata = parse_metadata(value, where);
    } else {
      header.entries.push_back(parse_entry(name, value, data_bytes, where));
    }
  }
  check_coverage(header.entries, data_bytes, where);
  return header;
}

std::shared_ptr<const SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  auto opened = std::make_shared<SafetensorsFile>();
  opened->file_ = MappedFile::open(path);
  opened->header_ = parse_safetensors_header(opened->file_->bytes(), path.string());
  const auto& entries = opened->header_.entries;
  for (size_t i = 0; i < entries.size(); ++i) opened->index_[entries[i].name] = i;
  return opened;
}

const std::filesystem::path& SafetensorsFile::path() const { return file_->path(); }

const SafetensorsEntry* SafetensorsFile::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &entries()[found->second];
}

at::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const SafetensorsEntry* entry = find(name);
  TORCH_CHECK_VALUE(entry != nullptr, "[safetensors] ", path().string(), ": expected a tensor \"",
                    name, "\", got none.");
  const auto options = at::TensorOptions().dtype(entry->dtype);
  const auto bytes =
      file_->bytes().subspan(header_.data_offset + entry->begin, entry->end - entry->begin);
  if (bytes.empty()) return at::empty(entry->shape, options);
  const bool aligned =
      reinterpret_cast<uintptr_t>(bytes.data()) % c10::elementSize(entry->dtype) == 0;
  if (entry->dtype == at::ScalarType::Bool || !aligned) {
    auto copy = at::empty(entry->shape, options);
    auto* out = static_cast<uint8_t*>(copy.data_ptr());
    std::memcpy(out, bytes.data(), bytes.size());
    // A bool other than 0 and 1 is undefined behaviour for its reader.
    if (entry->dtype == at::ScalarType::Bool)
      std::transform(out, out + bytes.size(), out, [](uint8_t b) { return b != 0; });
    return copy;
  }
  return at::from_blob(
      const_cast<std::byte*>(bytes.data()), entry->shape, [file = file_](void*) {}, options);
}

void SafetensorsFile::drop(const std::string& name) const {
  const SafetensorsEntry* entry = find(name);
  TORCH_CHECK_VALUE(entry != nullptr, "[safetensors] ", path().string(), ": expected a tensor \"",
                    name, "\", got none.");
  file_->drop(header_.data_offset + entry->begin, entry->end - entry->begin);
}

void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata,
                       const std::function<void(const std::string& name)>& written) {
  const std::string where = "[safetensors] " + path.string();
  check_names(tensors, where);
  auto sorted = tensors;
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.second.element_size() > b.second.element_size();
  });
  const std::string header = make_header(sorted, metadata, where);
  AtomicFile file(path);
  file.write(header);
  for (const auto& [name, tensor] : sorted) {
    const auto packed = tensor.cpu().contiguous();
    std::span left(static_cast<const std::byte*>(packed.const_data_ptr()), packed.nbytes());
    while (!left.empty()) {
      const auto band = left.first(std::min(left.size(), kBand));
      file.write(band);
      left = left.subspan(band.size());
      if (written) written(name);
    }
  }
  file.commit();
}

}  // namespace laconic
