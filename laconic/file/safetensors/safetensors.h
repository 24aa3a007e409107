#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "laconic/base/atomic_file.h"
#include "laconic/base/mapped_file.h"

namespace laconic {

struct SafetensorsEntry {
  std::string name;
  at::ScalarType dtype = at::ScalarType::Float;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  ///< bytes, from the start of the data section
};

/// What the front of a safetensors file says.
struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  ///< in order of offset
  std::map<std::string, std::string> metadata;
  uint64_t data_offset = 0;  ///< of the data section, bytes from the start of the file
};

/// Reads and checks the header of the whole file `bytes`; reads no tensor data.
/// @param where  starts every message, usually the path.
/// @throws c10::ValueError naming `where`, the tensor and the offset.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> bytes,
                                           const std::string& where);

/// A safetensors file, mapped. Everything is checked on opening: header length, JSON, dtypes,
/// shapes, offsets inside the file without overlap or hole, no name twice.
class SafetensorsFile {
 public:
  /// @throws c10::ValueError naming the file, the tensor and the offset.
  static std::shared_ptr<const SafetensorsFile> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const;
  const std::vector<SafetensorsEntry>& entries() const {
    return header_.entries;
  }                                                             ///< in order of offset
  const SafetensorsEntry* find(const std::string& name) const;  ///< nullptr when absent
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }

  /// A view of the mapped bytes, never to be written to; keeps the mapping alive. A copy where a
  /// view is not safe: bool, and data that is not aligned to its dtype. @throws c10::ValueError
  /// when absent.
  at::Tensor tensor(const std::string& name) const;
  /// Lets the pages of one tensor leave memory (see MappedFile::drop).
  void drop(const std::string& name) const;

 private:
  std::shared_ptr<const MappedFile> file_;
  SafetensorsHeader header_;
  std::map<std::string, size_t> index_;
};

/// Writes a safetensors file, whole or not at all. Data starts at a multiple of 64 bytes, and
/// tensors of larger items come first (else in the order given), so that every tensor is aligned to
/// its dtype.
/// @param written  told a tensor's name after each 64 MiB of it and at its end: a view of a mapped
/// file can let its pages go.
/// @throws c10::ValueError for a name twice, "__metadata__" as a name, text that is not UTF-8, or a
/// dtype that the
///         format lacks; c10::Error when writing fails.
void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata = {},
                       const std::function<void(const std::string& name)>& written = {});

/// Shards of a Hugging Face checkpoint as one table: model.safetensors, or else
/// model.safetensors.index.json with its shards. A name in two shards, a shard that is absent or
/// lies outside the directory, and a tensor that its shard lacks are errors that name the file.
class Checkpoint {
 public:
  /// @throws c10::ValueError naming the file.
  static std::shared_ptr<const Checkpoint> open(const std::filesystem::path& directory);
  std::vector<std::string> names() const;  ///< sorted
  bool has(const std::string& name) const;
  /// @throws c10::ValueError naming the directory when `name` is absent (as `tensor` and `drop`
  /// do).
  const SafetensorsEntry& entry(const std::string& name) const;
  at::Tensor tensor(
      const std::string& name) const;  ///< mapped view, stored dtype (see SafetensorsFile::tensor)
  void drop(const std::string& name) const;
  uint64_t bytes() const;  ///< size of all tensors

 private:
  void add(const std::filesystem::path& shard, const std::vector<std::string>& names);
  void read_index(const std::filesystem::path& path);
  const SafetensorsFile& file_of(const std::string& name) const;

  std::filesystem::path directory_;
  std::vector<std::shared_ptr<const SafetensorsFile>> files_;
  std::map<std::string, size_t> where_;  ///< tensor -> index into files_
};

}  // namespace laconic
