#include "laconic/recipe/journal.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "laconic/base/atomic_file.h"
#include "laconic/base/hash.h"
#include "laconic/base/text.h"

namespace laconic {
namespace {

constexpr const char* kJournal = "job.json";
constexpr uint64_t kMaximumBytes = uint64_t{1} << 20;

// Files of a model directory that its numbers depend on, in a fixed order.
std::vector<std::filesystem::path> model_files(const std::filesystem::path& model) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(model)) {
    const auto extension = entry.path().extension();
    const bool counts =
        extension == ".json" || extension == ".safetensors" || extension == ".model";
    if (counts && entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string fingerprint_of(const std::vector<std::filesystem::path>& files) {
  Fingerprint fingerprint;
  for (const auto& file : files) {
    fingerprint.add(file.filename().string());
    fingerprint.add_file(file);
  }
  return fingerprint.text();
}

bool is_empty_or_absent(const std::filesystem::path& directory) {
  return !std::filesystem::exists(directory) || std::filesystem::is_empty(directory);
}

std::string text_of(const nlohmann::json& journal, const char* key) {
  return journal.is_object() && journal.contains(key) && journal[key].is_string()
             ? journal[key].get<std::string>()
             : "";
}

}  // namespace

JobIdentity identify_job(const std::filesystem::path& model, const Recipe& recipe,
                         const std::filesystem::path& data) {
  Fingerprint recipe_text;
  recipe_text.add(to_yaml(recipe));
  Fingerprint text;
  if (!data.empty()) text.add_file(data);
  return {fingerprint_of(model_files(model)), recipe_text.text(), text.text()};
}

bool open_journal(const std::filesystem::path& working_directory, const JobIdentity& identity) {
  const auto path = working_directory / kJournal;
  const std::string mend =
      ". Remove " + working_directory.string() + " to begin anew, or choose another --out.";
  if (!std::filesystem::exists(path)) {
    TORCH_CHECK_VALUE(
        is_empty_or_absent(working_directory), "[quantize] ", working_directory.string(),
        ": there are files, but not of a job of this program (no ", kJournal, ")", mend);
    std::filesystem::create_directories(working_directory);
    const nlohmann::json journal = {
        {"model", identity.model}, {"recipe", identity.recipe}, {"data", identity.data}};
    write_text_file(path, journal.dump(2) + "\n");
    return false;
  }
  const auto journal = nlohmann::json::parse(read_text_file(path, kMaximumBytes), nullptr, false);
  std::vector<std::string> changed;
  if (text_of(journal, "model") != identity.model) changed.emplace_back("the model");
  if (text_of(journal, "recipe") != identity.recipe) changed.emplace_back("the recipe");
  if (text_of(journal, "data") != identity.data) changed.emplace_back("the calibration text");
  TORCH_CHECK_VALUE(changed.empty(), "[quantize] ", working_directory.string(),
                    ": an interrupted run of another job: ", join(changed, ", "),
                    changed.size() > 1 ? " have" : " has", " changed since", mend);
  return true;
}

}  // namespace laconic
