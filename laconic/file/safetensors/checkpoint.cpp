#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>

#include "laconic/file/json/json.h"
#include "laconic/file/safetensors/safetensors.h"

namespace laconic {
namespace {

// A shard is a file of the directory itself: nothing in an index may lead out of it.
void check_shard_name(const std::string& shard, const std::string& tensor,
                      const std::string& where) {
  const bool plain = !shard.empty() && shard != "." && shard != ".." &&
                     shard.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
  TORCH_CHECK_VALUE(plain, where, ": weight_map \"", tensor,
                    "\": expected the name of a file beside the index, got \"", shard,
                    "\". Name a shard without a path.");
}

std::vector<std::string> names_of(const SafetensorsFile& file) {
  std::vector<std::string> names;
  for (const SafetensorsEntry& entry : file.entries()) names.push_back(entry.name);
  return names;
}

}  // namespace

std::shared_ptr<const Checkpoint> Checkpoint::open(const std::filesystem::path& directory) {
  const auto whole = directory / "model.safetensors",
             index = directory / "model.safetensors.index.json";
  auto checkpoint = std::make_shared<Checkpoint>();
  checkpoint->directory_ = directory;
  if (std::filesystem::exists(whole)) {
    checkpoint->add(whole, names_of(*SafetensorsFile::open(whole)));
    return checkpoint;
  }
  TORCH_CHECK_VALUE(std::filesystem::exists(index), "[checkpoint] ", directory.string(),
                    ": expected model.safetensors or model.safetensors.index.json, got neither. "
                    "Give a model's directory; "
                    "convert other formats (pytorch_model.bin) to safetensors first.");
  checkpoint->read_index(index);
  return checkpoint;
}

void Checkpoint::read_index(const std::filesystem::path& path) {
  const std::string where = "[checkpoint] " + path.string();
  const nlohmann::json json = parse_json(read_text_file(path), where);
  TORCH_CHECK_VALUE(
      json.is_object() && json.contains("weight_map") && json["weight_map"].is_object(), where,
      ": expected a field weight_map that gives each tensor's shard, got none.");
  std::map<std::string, std::vector<std::string>> shards;
  for (const auto& [tensor, shard] : json["weight_map"].items()) {
    TORCH_CHECK_VALUE(shard.is_string(), where, ": weight_map \"", tensor,
                      "\": expected a file name, got ", shard.type_name(), ".");
    check_shard_name(shard.get<std::string>(), tensor, where);
    shards[shard.get<std::string>()].push_back(tensor);
  }
  for (const auto& [shard, tensors] : shards) {
    TORCH_CHECK_VALUE(std::filesystem::exists(directory_ / shard), where, ": shard ", shard,
                      " is absent. Fetch it, or mend weight_map.");
    add(directory_ / shard, tensors);
  }
}

void Checkpoint::add(const std::filesystem::path& shard, const std::vector<std::string>& names) {
  auto file = SafetensorsFile::open(shard);
  for (const auto& other : files_) {
    for (const SafetensorsEntry& entry : other->entries()) {
      TORCH_CHECK_VALUE(file->find(entry.name) == nullptr, "[checkpoint] ", shard.string(),
                        ": tensor \"", entry.name, "\" is in ", other->path().string(),
                        " too. Expected each tensor in one shard.");
    }
  }
  for (const std::string& name : names) {
    TORCH_CHECK_VALUE(file->find(name) != nullptr, "[checkpoint] ", shard.string(),
                      ": expected a tensor \"", name, "\" as the index says, got none.");
    where_[name] = files_.size();
  }
  files_.push_back(std::move(file));
}

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> names;
  for (const auto& [name, unused] : where_) names.push_back(name);
  return names;
}

bool Checkpoint::has(const std::string& name) const { return where_.contains(name); }

const SafetensorsFile& Checkpoint::file_of(const std::string& name) const {
  const auto found = where_.find(name);
  TORCH_CHECK_VALUE(found != where_.end(), "[checkpoint] ", directory_.string(),
                    ": expected a tensor \"", name, "\", got none.");
  return *files_[found->second];
}

const SafetensorsEntry& Checkpoint::entry(const std::string& name) const {
  return *file_of(name).find(name);
}
at::Tensor Checkpoint::tensor(const std::string& name) const { return file_of(name).tensor(name); }
void Checkpoint::drop(const std::string& name) const { file_of(name).drop(name); }

uint64_t Checkpoint::bytes() const {
  uint64_t total = 0;
  for (const auto& [name, file] : where_) {
    const SafetensorsEntry& entry = *files_[file]->find(name);
    total += entry.end - entry.begin;
  }
  return total;
}

}  // namespace laconic
