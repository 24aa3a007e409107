#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "laconic/base/assert.h"
#include "laconic/base/directory.h"
#include "laconic/file/json/json.h"
#include "laconic/load/native/stored.h"

namespace laconic {
namespace {

namespace fs = std::filesystem;
constexpr const char* kIndex = "model.safetensors.index.json";

}  // namespace

void NativeWriter::check_replaceable(const fs::path& directory, bool overwrite) {
  if (!fs::exists(fs::symlink_status(directory))) return;
  const bool is_directory = fs::is_directory(directory);
  if (is_directory && fs::is_empty(directory)) return;
  TORCH_CHECK_VALUE(is_directory && NativeDirectory::is_native(directory), "[native] ",
                    directory.string(), " is there already and is ",
                    is_directory ? "no directory that Laconic wrote (with laconic.json)" : "a file",
                    ", so it is never overwritten. Choose another directory.");
  TORCH_CHECK_VALUE(overwrite, "[native] ", directory.string(),
                    " is there already. Choose another directory, or give --overwrite.");
}

NativeWriter::NativeWriter(fs::path directory, int shard_count, bool overwrite)
    : directory_(without_slash(directory)), shard_count_(shard_count), overwrite_(overwrite) {
  LACONIC_ASSERT(shard_count >= 1 && shard_count < 100'000, "shard_count ", shard_count);
  check_replaceable(directory_, overwrite_);
  working_ = directory_.string() + ".partial";
  std::error_code failure;
  fs::create_directories(working_, failure);
  TORCH_CHECK_VALUE(!failure, "[native] cannot make ", working_.string(), ": ", failure.message(),
                    ". Choose a place that you may write to.");
}

std::string NativeWriter::shard_name(int index) const {
  LACONIC_ASSERT(index >= 0 && index < shard_count_, "shard ", index);
  if (shard_count_ == 1) return "model.safetensors";
  std::array<char, 64> name{};
  std::snprintf(name.data(), name.size(), "model-%05d-of-%05d.safetensors", index + 1,
                shard_count_);
  return name.data();
}

bool NativeWriter::has_shard(int index) const { return fs::exists(working_ / shard_name(index)); }

void NativeWriter::write_shard(int index,
                               const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                               const std::function<void(const std::string& name)>& written) {
  write_safetensors(working_ / shard_name(index), tensors, {{"format", "pt"}}, written);
}

void NativeWriter::write_index() const {
  nlohmann::json map = nlohmann::json::object();
  uint64_t total = 0;
  for (int i = 0; i < shard_count_; ++i) {
    TORCH_CHECK(has_shard(i), "[native] ", working_.string(), ": shard ", shard_name(i),
                " is absent. Start again.");
    const auto file = SafetensorsFile::open(working_ / shard_name(i));
    for (const SafetensorsEntry& entry : file->entries()) {
      map[entry.name] = shard_name(i);
      total += entry.end - entry.begin;
    }
  }
  if (shard_count_ == 1) return;
  write_json_file(working_ / kIndex, {{"metadata", {{"total_size", total}}}, {"weight_map", map}});
}

void NativeWriter::remove_leftovers(const std::vector<fs::path>& files) const {
  std::set<std::string> wanted = {kManifest};
  if (shard_count_ > 1) wanted.insert(kIndex);
  for (int i = 0; i < shard_count_; ++i) wanted.insert(shard_name(i));
  for (const fs::path& file : files) wanted.insert(file.filename().string());
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(working_)) {
    if (!wanted.contains(entry.path().filename().string())) leftovers.push_back(entry.path());
  }
  for (const fs::path& path : leftovers) fs::remove_all(path);
}

void NativeWriter::finish(const nlohmann::json& manifest, const std::vector<fs::path>& files,
                          const QuantParts& parts) {
  write_index();
  for (const fs::path& file : files)
    if (file.parent_path() != working_) copy_over(file, working_ / file.filename());
  nlohmann::json whole = manifest;
  whole["format_version"] = NativeDirectory::kFormatVersion;
  write_json_file(working_ / kManifest, whole);
  remove_leftovers(files);
  NativeDirectory::open(working_, parts);
  check_replaceable(directory_, overwrite_);
  replace_directory(working_, directory_);
}

}  // namespace laconic
