#include "laconic/calibrate/journal.h"

#include <c10/util/Exception.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "laconic/file/json/json.h"

namespace laconic {
namespace {

std::filesystem::path journal_path(const std::filesystem::path& directory, int shard) {
  return directory / ("journal-" + std::to_string(shard) + ".json");
}

}  // namespace

void write_journal(const std::filesystem::path& directory, int shard,
                   const std::vector<LayerReport>& reports) {
  nlohmann::json layers = nlohmann::json::array();
  for (const LayerReport& report : reports) layers.push_back(to_json(report));
  write_json_file(journal_path(directory, shard), layers);
}

std::vector<LayerReport> read_journal(const std::filesystem::path& directory, int shard) {
  const auto path = journal_path(directory, shard);
  std::vector<LayerReport> reports;
  if (!std::filesystem::exists(path)) return reports;
  try {
    for (const auto& layer : read_json_file(path)) reports.push_back(layer_report_from_json(layer));
  } catch (const std::exception&) {
    reports.clear();
  }
  return reports;
}

std::filesystem::path shard_path(const std::filesystem::path& directory, int shard, int count) {
  char name[64] = "model.safetensors";
  if (count > 1)
    std::snprintf(name, sizeof(name), "model-%05d-of-%05d.safetensors", shard + 1, count);
  const auto path = directory / name;
  return std::filesystem::exists(path) ? path : std::filesystem::path();
}

}  // namespace laconic
