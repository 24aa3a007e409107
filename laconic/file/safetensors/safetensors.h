#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "laconic/base/atomic_file.h"
#include "laconic/base/mapped_file.h"

namespace laconic {

struct SafetensorsEntry {
  std::string name;
  at::ScalarType dtype;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  ///< bytes, from the start of the data section
};

/// A safetensors file, mapped. Everything is checked on opening: header length, JSON, dtypes, shapes,
/// offsets inside the file without overlap or hole, no name twice.
class SafetensorsFile {
 public:
  /// @throws c10::ValueError naming the file, the tensor and the offset.
  static std::shared_ptr<const SafetensorsFile> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const;
  const std::vector<SafetensorsEntry>& entries() const { return entries_; }  ///< in order of offset
  const SafetensorsEntry* find(const std::string& name) const;             ///< nullptr when absent
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// A view of the mapped bytes, read only; keeps the mapping alive. @throws c10::ValueError when absent.
  at::Tensor tensor(const std::string& name) const;
  /// Lets the pages of one tensor leave memory (see MappedFile::drop).
  void drop(const std::string& name) const;

 private:
  std::shared_ptr<const MappedFile> file_;
  std::vector<SafetensorsEntry> entries_;
  std::map<std::string, size_t> index_;
  std::map<std::string, std::string> metadata_;
  uint64_t data_offset_ = 0;
};

/// Writes a safetensors file, whole or not at all. Tensors are written in the order given (alignment: the
/// header is padded so that data starts at a multiple of 64 bytes; sort by item size to keep each aligned).
void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

/// Shards of a Hugging Face checkpoint as one table: model.safetensors, or model.safetensors.index.json
/// with its shards. Names the file in errors; a name in two shards, or a shard that is absent, is an error.
class Checkpoint {
 public:
  static std::shared_ptr<const Checkpoint> open(const std::filesystem::path& directory);
  std::vector<std::string> names() const;
  bool has(const std::string& name) const;
  const SafetensorsEntry& entry(const std::string& name) const;
  at::Tensor tensor(const std::string& name) const;  ///< mapped view, stored dtype
  void drop(const std::string& name) const;
  uint64_t bytes() const;  ///< size of all tensors

 private:
  std::vector<std::shared_ptr<const SafetensorsFile>> files_;
  std::map<std::string, size_t> where_;
};

}  // namespace laconic
