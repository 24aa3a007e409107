#include "laconic/export/compressed_tensors/compressed_tensors.h"

#include <c10/util/Exception.h>

#include <array>
#include <cstdio>
#include <map>
#include <set>

#include "laconic/base/directory.h"
#include "laconic/base/text.h"
#include "laconic/export/compressed_tensors/scheme.h"
#include "laconic/export/obstacles.h"
#include "laconic/file/json/json.h"
#include "laconic/load/native/stored.h"

namespace laconic {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr uint64_t kShardBytes = uint64_t{1} << 30;
constexpr const char* kVersion = "0.20.0";  // of the format, as the library numbers it

// A tensor of the model or a whole quantized layer.
struct StoredItem {
  std::string name;
  const NativeLayer* layer = nullptr;
  uint64_t bytes = 0;
};

// Removes a half-made directory unless it was finished.
class WorkingDirectory {
 public:
  explicit WorkingDirectory(const fs::path& out) : path_(out.string() + ".partial") {
    std::error_code failure;
    fs::remove_all(path_, failure);
    failure.clear();
    fs::create_directories(path_, failure);
    TORCH_CHECK(!failure, "[compressed-tensors] cannot make ", path_.string(), ": ",
                failure.message(), ". Choose a place that you may write to.");
  }
  ~WorkingDirectory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  WorkingDirectory(const WorkingDirectory&) = delete;
  WorkingDirectory& operator=(const WorkingDirectory&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

bool is_head(const std::string& module) { return module == "lm_head" || module == "embed_out"; }

// Names of linear layers that keep their numbers: clients would look for codes otherwise.
std::vector<std::string> ignored_layers(const NativeDirectory& model) {
  std::set<std::string> ignored;
  for (const std::string head : {"lm_head", "embed_out"}) {
    if (model.find(head) == nullptr) ignored.insert(head);
  }
  for (const std::string& name : model.tensors().names()) {
    if (!name.ends_with(".weight") || model.tensors().entry(name).shape.size() != 2) continue;
    const std::string module = name.substr(0, name.size() - std::string(".weight").size());
    if (model.find(module) == nullptr && module.find("embed_tokens") == std::string::npos)
      ignored.insert(module);
  }
  return {ignored.begin(), ignored.end()};
}

json quantization_config(const NativeDirectory& model) {
  std::map<std::string, std::vector<std::string>> groups;  // scheme -> layers
  for (const NativeLayer& layer : model.layers())
    groups[layer_scheme(layer).dump()].push_back(layer.name);
  json config_groups = json::object();
  std::set<std::string> formats;
  for (const auto& [scheme, names] : groups) {
    json group = json::parse(scheme);
    formats.insert(group["format"].get<std::string>());
    group["targets"] = groups.size() == 1 ? json::array({"Linear"}) : json(names);
    config_groups["group_" + std::to_string(config_groups.size())] = group;
  }
  return {{"quant_method", "compressed-tensors"},
          {"quantization_status", "compressed"},
          {"format", formats.size() == 1 ? *formats.begin() : "mixed-precision"},
          {"config_groups", config_groups},
          {"ignore", ignored_layers(model)},
          {"kv_cache_scheme", nullptr},
          {"global_compression_ratio", nullptr},
          {"sparsity_config", json::object()},
          {"transform_config", json::object()},
          {"version", kVersion}};
}

// Clients keep scales and decompressed weights in this dtype; a narrower one would change the
// numbers.
void set_dtype(json& config, ExportReport& report) {
  for (const char* key : {"dtype", "torch_dtype"}) {
    if (!config.contains(key) || config[key] == "float32") continue;
    report.notes.push_back(std::string("config.json says ") + key + " float32 instead of " +
                           config[key].dump() +
                           ", so that the weights are those that were solved; load with another "
                           "dtype to save memory.");
    config[key] = "float32";
  }
  if (!config.contains("dtype") && !config.contains("torch_dtype")) config["dtype"] = "float32";
}

std::vector<StoredItem> items_of(const NativeDirectory& model) {
  std::vector<StoredItem> items;
  std::set<std::string> parts;
  for (const NativeLayer& layer : model.layers()) {
    for (const std::string& name : tensor_names(layer)) parts.insert(name);
    items.push_back({layer.name, &layer, compressed_bytes(layer)});
  }
  for (const std::string& name : model.tensors().names()) {
    const SafetensorsEntry& entry = model.tensors().entry(name);
    if (!parts.contains(name)) items.push_back({name, nullptr, entry.end - entry.begin});
  }
  std::sort(items.begin(), items.end(),
            [](const StoredItem& a, const StoredItem& b) { return a.name < b.name; });
  return items;
}

std::vector<std::vector<StoredItem>> shards_of(const std::vector<StoredItem>& items) {
  std::vector<std::vector<StoredItem>> shards(1);
  uint64_t bytes = 0;
  for (const StoredItem& item : items) {
    if (!shards.back().empty() && bytes + item.bytes > kShardBytes) {
      shards.emplace_back();
      bytes = 0;
    }
    shards.back().push_back(item);
    bytes += item.bytes;
  }
  return shards;
}

std::string shard_name(size_t index, size_t count) {
  if (count == 1) return "model.safetensors";
  std::array<char, 64> name{};
  std::snprintf(name.data(), name.size(), "model-%05zu-of-%05zu.safetensors", index + 1, count);
  return name.data();
}

void write_shards(const NativeDirectory& model, const fs::path& directory) {
  const auto shards = shards_of(items_of(model));
  json map = json::object();
  uint64_t total = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    std::vector<std::pair<std::string, at::Tensor>> tensors;
    for (const StoredItem& item : shards[i]) {
      if (item.layer == nullptr) {
        tensors.emplace_back(item.name, model.tensors().tensor(item.name));
        continue;
      }
      for (auto& tensor : compressed_layer(model, *item.layer))
        tensors.push_back(std::move(tensor));
    }
    for (const auto& [name, tensor] : tensors) {
      map[name] = shard_name(i, shards.size());
      total += tensor.nbytes();
    }
    write_safetensors(directory / shard_name(i, shards.size()), tensors, {{"format", "pt"}});
    for (const StoredItem& item : shards[i])
      model.tensors().drop(item.layer == nullptr ? item.name : codes_name(*item.layer));
  }
  if (shards.size() == 1) return;
  write_json_file(directory / "model.safetensors.index.json",
                  {{"metadata", {{"total_size", total}}}, {"weight_map", map}});
}

// Tokenizer, generation settings, templates.
void copy_files(const fs::path& from, const fs::path& to) {
  const std::set<std::string> kinds = {".json", ".txt", ".model", ".jinja"};
  const std::set<std::string> own = {"config.json", "laconic.json", "model.safetensors.index.json",
                                     "pytorch_model.bin.index.json"};
  for (const auto& entry : fs::directory_iterator(from)) {
    const fs::path& path = entry.path();
    if (!entry.is_regular_file() || !kinds.contains(path.extension().string())) continue;
    if (!own.contains(path.filename().string())) copy_over(path, to / path.filename());
  }
}

// An export of ours may be replaced, when asked to; nothing else.
void check_replaceable(const fs::path& out, bool overwrite) {
  if (!fs::exists(fs::symlink_status(out))) return;
  if (fs::is_directory(out) && fs::is_empty(out)) return;
  TORCH_CHECK_VALUE(overwrite, "[compressed-tensors] ", out.string(),
                    " is there already. Choose another directory, or give --overwrite.");
  const bool ours = fs::exists(out / "config.json") &&
                    read_json_file(out / "config.json").contains("quantization_config");
  TORCH_CHECK_VALUE(ours && !NativeDirectory::is_native(out), "[compressed-tensors] ", out.string(),
                    ": expected an earlier export, got something else, which is never overwritten. "
                    "Choose another directory.");
}

}  // namespace

std::vector<std::string> compressed_tensors_obstacles(const json& config,
                                                      const std::vector<NativeLayer>& layers) {
  std::vector<std::string> found;
  for (const char* experts : {"num_experts", "num_local_experts"}) {
    if (!config.is_object() || !config.contains(experts) || layers.empty()) continue;
    found.push_back(std::string("config.json: ") + experts +
                    ": transformers joins the experts of a mixture into one tensor and finds no "
                    "codes in it. The nearest that works is the native directory.");
  }
  if (layers.empty())
    found.emplace_back("no layer is quantized: the directory itself is what clients load.");
  LayerObstacles obstacles;
  for (const NativeLayer& layer : layers) {
    if (layer.is_embedding)
      obstacles.add(layer.name,
                    "is an embedding, and transformers loads packed codes for linear layers alone: "
                    "put skip: true into a rule for it, or export as gguf");
    for (const std::string& reason : scheme_obstacles(layer)) obstacles.add(layer.name, reason);
  }
  const auto sentences = obstacles.sentences();
  found.insert(found.end(), sentences.begin(), sentences.end());
  return found;
}

ExportReport write_compressed_tensors(const NativeDirectory& model, const fs::path& directory,
                                      bool overwrite) {
  const fs::path out = without_slash(directory);
  check_replaceable(out, overwrite);
  json config = read_json_file(model.path() / "config.json");
  auto found = compressed_tensors_obstacles(config, model.layers());
  for (std::string& reason : graph_obstacles(model.graph_changes()))
    found.push_back(std::move(reason));
  TORCH_CHECK_NOT_IMPLEMENTED(found.empty(), "[compressed-tensors] ", model.path().string(),
                              " cannot be exported:\n  ", join(found, "\n  "));
  ExportReport report;
  config["quantization_config"] = quantization_config(model);
  set_dtype(config, report);
  bool finds_inputs = false;
  for (const NativeLayer& layer : model.layers()) {
    if (is_head(layer.name)) config["tie_word_embeddings"] = false;
    finds_inputs = finds_inputs || (layer.input && !has_static_input(layer));
  }
  if (finds_inputs) {
    report.notes.emplace_back(
        "Clients find the scale of inputs by a rule of their own: transformers divides the largest "
        "magnitude of 8 bits by 127.5, vLLM by 127.");
  }
  const WorkingDirectory working(out);
  copy_files(model.path(), working.path());
  write_shards(model, working.path());
  write_json_file(working.path() / "config.json", config);
  replace_directory(working.path(), out);
  for (const auto& entry : fs::directory_iterator(out)) {
    report.files.push_back(entry.path());
    report.bytes += entry.file_size();
  }
  std::sort(report.files.begin(), report.files.end());
  return report;
}

}  // namespace laconic
