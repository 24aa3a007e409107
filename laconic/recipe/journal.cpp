#include "laconic/recipe/journal.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "laconic/base/atomic_file.h"
#include "laconic/base/hash.h"
#include "laconic/base/text.h"

namespace laconic {
namespace {

namespace fs = std::filesystem;

constexpr const char* kJournal = "job.json";
constexpr const char* kManifest = "laconic.json";
constexpr uint64_t kMaximumBytes = uint64_t{1} << 30;

// Files of a model directory that its numbers depend on, in a fixed order.
std::vector<fs::path> model_files(const fs::path& model) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(model)) {
    const auto extension = entry.path().extension();
    const bool counts =
        extension == ".json" || extension == ".safetensors" || extension == ".model";
    if (counts && entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string text_of(const nlohmann::json& journal, const char* key) {
  return journal.is_object() && journal.contains(key) && journal[key].is_string()
             ? journal[key].get<std::string>()
             : "";
}

JobIdentity identity_of(const nlohmann::json& json) {
  return {text_of(json, "model"), text_of(json, "recipe"), text_of(json, "data")};
}

nlohmann::json read_json(const fs::path& path) {
  return nlohmann::json::parse(read_text_file(path, kMaximumBytes), nullptr, false);
}

JobIdentity read_identity(const fs::path& directory) {
  return identity_of(read_json(directory / kJournal));
}

JobIdentity manifest_identity(const fs::path& directory) {
  const auto manifest = read_json(directory / kManifest);
  const bool known = manifest.is_object() && manifest.contains("job");
  return known ? identity_of(manifest["job"]) : JobIdentity{};
}

std::vector<std::string> differences(const JobIdentity& before, const JobIdentity& now) {
  std::vector<std::string> changed;
  if (before.model != now.model) changed.emplace_back("the model");
  if (before.recipe != now.recipe) changed.emplace_back("the recipe");
  if (before.data != now.data) changed.emplace_back("the calibration text");
  return changed;
}

void make_journal(const fs::path& directory, const JobIdentity& identity) {
  try {
    write_text_file(directory / kJournal, to_json(identity).dump(2) + "\n");
  } catch (...) {
    std::error_code ignored;
    fs::remove(directory, ignored);
    throw;
  }
}

std::string mend(const fs::path& directory) {
  return ". Remove " + directory.string() + " to begin anew, or choose another --out.";
}

}  // namespace

std::string fingerprint_of_model(const fs::path& model) {
  Fingerprint fingerprint;
  for (const auto& file : model_files(model)) {
    fingerprint.add(file.filename().string());
    fingerprint.add_file(file);
  }
  return fingerprint.text();
}

std::string fingerprint_of_text(const fs::path& data) {
  Fingerprint text;
  if (!data.empty()) text.add_file(data);
  return text.text();
}

std::string fingerprint_of_recipe(const Recipe& recipe) {
  Fingerprint text;
  text.add(to_yaml(recipe));
  return text.text();
}

JobIdentity identify_job(const fs::path& model, const Recipe& recipe, const fs::path& data) {
  return {fingerprint_of_model(model), fingerprint_of_recipe(recipe), fingerprint_of_text(data)};
}

nlohmann::json to_json(const JobIdentity& identity) {
  return {{"model", identity.model}, {"recipe", identity.recipe}, {"data", identity.data}};
}

JobDirectory::JobDirectory(fs::path path, const JobIdentity& identity)
    : path_(std::move(path)), lock_(path_), state_(open(identity)) {}

bool JobDirectory::is_job(const fs::path& path) {
  return fs::exists(path / kJournal) || fs::exists(path / kManifest);
}

JobDirectory::State JobDirectory::open(const JobIdentity& identity) const {
  const bool finished = fs::exists(path_ / kManifest);
  if (!finished && !fs::exists(path_ / kJournal)) {
    TORCH_CHECK_VALUE(fs::is_empty(path_), "[quantize] ", path_.string(),
                      ": there are files, but not of a job of this program (no ", kJournal, ")",
                      mend(path_));
    make_journal(path_, identity);
    return State::kNew;
  }
  const auto changed =
      differences(finished ? manifest_identity(path_) : read_identity(path_), identity);
  TORCH_CHECK_VALUE(changed.empty(), "[quantize] ", path_.string(),
                    ": an interrupted run of another job: ", join(changed, ", "),
                    changed.size() > 1 ? " have" : " has", " changed since", mend(path_));
  return finished ? State::kFinished : State::kResumed;
}

void JobDirectory::clean_up(bool wrong_input) noexcept {
  std::error_code failure;
  bool has_blocks = false;
  for (const auto& entry : fs::directory_iterator(path_, failure))
    has_blocks = has_blocks || entry.path().extension() == ".safetensors";
  const bool useless = wrong_input && state_ == State::kNew;
  if (!failure && (useless || !has_blocks)) fs::remove_all(path_, failure);
}

}  // namespace laconic
