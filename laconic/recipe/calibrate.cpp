#include "laconic/recipe/calibrate.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <optional>

#include "laconic/base/directory.h"
#include "laconic/base/mapped_file.h"
#include "laconic/base/progress.h"
#include "laconic/base/text.h"
#include "laconic/calibrate/gather.h"
#include "laconic/load/placement.h"
#include "laconic/recipe/float_model.h"
#include "laconic/recipe/journal.h"

namespace laconic {
namespace {

namespace fs = std::filesystem;

// What can be asked before the model is read.
void check_job(const CalibrateJob& job) {
  check_float_model("calibrate", job.model, job.out);
  MappedFile::open(job.calibration);
  const fs::path out = without_slash(job.out);
  if (!fs::exists(fs::symlink_status(out)) || (fs::is_directory(out) && fs::is_empty(out))) return;
  TORCH_CHECK_VALUE(StatisticsStore::is_store(out), "[calibrate] ", out.string(),
                    " is there already and holds no statistics, so it is never overwritten. ",
                    "Choose another directory.");
  TORCH_CHECK_VALUE(job.overwrite, "[calibrate] ", out.string(),
                    " is there already. Choose another directory, or give --overwrite.");
}

/// `out`.partial, held by one process; gone with the object unless it got its final name.
class WorkingDirectory {
 public:
  explicit WorkingDirectory(const fs::path& out)
      : out_(without_slash(out)), path_(out_.string() + ".partial") {
    std::error_code failure;
    fs::create_directories(path_, failure);
    TORCH_CHECK_VALUE(!failure, "[calibrate] cannot make ", path_.string(), ": ", failure.message(),
                      ". Choose a place that you may write to.");
    lock_.emplace(path_);
    empty();
  }
  ~WorkingDirectory() {
    std::error_code ignored;
    if (!is_finished_) fs::remove_all(path_, ignored);
  }
  WorkingDirectory(const WorkingDirectory&) = delete;
  WorkingDirectory& operator=(const WorkingDirectory&) = delete;

  const fs::path& path() const { return path_; }
  void finish() {
    replace_directory(path_, out_);
    is_finished_ = true;
  }

 private:
  // A killed run leaves what is of no use without its end; other files are not ours.
  void empty() {
    std::vector<fs::path> left;
    for (const auto& entry : fs::directory_iterator(path_)) left.push_back(entry.path());
    for (const fs::path& file : left) {
      is_finished_ = true;  // not ours to remove
      TORCH_CHECK_VALUE(file.filename().string().starts_with("input-") && fs::is_regular_file(file),
                        "[calibrate] ", path_.string(), ": there is ", file.filename().string(),
                        ", which no interrupted run left. Remove it, or choose another --out.");
      is_finished_ = false;
    }
    for (const fs::path& file : left) fs::remove(file);
  }

  fs::path out_, path_;
  std::optional<DirectoryLock> lock_;
  bool is_finished_ = false;
};

uint64_t bytes_in(const fs::path& directory) {
  uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(directory)) bytes += entry.file_size();
  return bytes;
}

std::vector<std::string> differences(const CalibrationOptions& there,
                                     const CalibrationOptions& wanted) {
  std::vector<std::string> found;
  const auto compare = [&](const char* name, const auto& a, const auto& b) {
    if (a == b) return;
    found.push_back("--set calibration." + std::string(name) + "=" + c10::str(a) + " (it has " +
                    c10::str(b) + ")");
  };
  compare("windows", there.windows, wanted.windows);
  compare("length", there.length, wanted.length);
  compare("seed", there.seed, wanted.seed);
  compare("field", there.field, wanted.field);
  return found;
}

}  // namespace

CalibrationData read_windows(const fs::path& text, const LanguageModel& model,
                             CalibrationOptions options) {
  const bool too_long = model.maximum_length > 0 && options.length > model.maximum_length;
  if (too_long) options.length = model.maximum_length;
  CalibrationData data =
      load_calibration(text, model.tokenizer.get(), model.vocabulary_size, options);
  if (too_long)
    data.notes.push_back("calibration windows have " + std::to_string(options.length) +
                         " tokens: the model has no more positions.");
  return data;
}

CalibrateOutcome run_calibrate(const CalibrateJob& job) {
  const Stopwatch clock;
  check_job(job);
  LanguageModel model = load_language_model(job.model, {.resident = false});
  const CalibrationData data = read_windows(job.calibration, model, job.options);
  place(model, job.device, /*resident=*/false);
  CalibrateOutcome outcome{.windows = data.windows.size(0),
                           .length = data.windows.size(1),
                           .offsets = data.offsets,
                           .notes = data.notes};
  WorkingDirectory working(job.out);
  StatisticsWriter writer(working.path());
  EngineOptions options{.progress = job.progress, .device = job.device};
  if (job.batch > 0) options.batch = job.batch;
  options.host_memory = job.host_memory;
  options.device_memory = job.device_memory;
  outcome.memory = gather_statistics(model, data.windows, options, working.path(),
                                     [&](StoredInput input, const FeatureStatistics& found) {
                                       outcome.layers += static_cast<int64_t>(input.layers.size());
                                       ++outcome.inputs;
                                       writer.add(std::move(input), found);
                                     });
  writer.finish({.model = fingerprint_of_model(job.model),
                 .text = fingerprint_of_text(job.calibration),
                 .asked = job.options,
                 .length = outcome.length,
                 .data = data});
  outcome.bytes = bytes_in(working.path());
  working.finish();
  outcome.seconds = clock.seconds();
  return outcome;
}

std::unique_ptr<StatisticsStore> open_statistics(const fs::path& directory,
                                                 const StatisticsUse& use) {
  auto store = std::make_unique<StatisticsStore>(directory);
  const std::string where = "[statistics] " + directory.string() + ": ";
  const StatisticsOrigin& origin = store->origin();
  TORCH_CHECK_VALUE(origin.model == fingerprint_of_model(use.model), where,
                    "gathered on another model than ", use.model.string(),
                    ", or on this one before its files changed. Gather them again with `laconic "
                    "calibrate`.");
  TORCH_CHECK_VALUE(use.calibration.empty() || origin.text == fingerprint_of_text(use.calibration),
                    where, "gathered on another text than ", use.calibration.string(),
                    ". Leave --calibration out, or gather them again with `laconic calibrate`.");
  const auto changes = differences(origin.asked, use.wanted);
  TORCH_CHECK_VALUE(changes.empty(), where, "gathered on other windows than recipe ", use.recipe,
                    " asks for. Say ", join(changes, " and "),
                    ", or gather them again with `laconic calibrate`.");
  return store;
}

}  // namespace laconic
