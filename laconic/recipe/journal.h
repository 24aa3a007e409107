#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "laconic/base/directory.h"
#include "laconic/recipe/recipe.h"

namespace laconic {

/// What makes two jobs the same: equal fingerprints of model, recipe and calibration tokens.
struct JobIdentity {
  std::string model, recipe, data;
  bool operator==(const JobIdentity&) const = default;
};

/// By content: configuration, tokenizer and weights of a model directory.
std::string fingerprint_of_model(const std::filesystem::path& model);
std::string fingerprint_of_text(const std::filesystem::path& data);
std::string fingerprint_of_recipe(const Recipe& recipe);

/// @param model  directory: its configuration, tokenizer and weights count, by content.
/// @param data   the calibration text; may be empty.
JobIdentity identify_job(const std::filesystem::path& model, const Recipe& recipe,
                         const std::filesystem::path& data);

/// The directory in which one job works, held by one process at a time, with a journal that says
/// whose it is.
class JobDirectory {
 public:
  enum class State {
    kNew,       ///< made now
    kResumed,   ///< an earlier run of the same job left it
    kFinished,  ///< and it was about to give the directory its final name
  };

  /// @param path  must exist.
  /// @throws c10::ValueError when another process is at work in it, or naming what differs when it
  /// is of another job, or holds files but no journal. Nothing is changed then.
  JobDirectory(std::filesystem::path path, const JobIdentity& identity);

  State state() const { return state_; }
  /// Whether a job's journal or its finished manifest lies there.
  static bool is_job(const std::filesystem::path& path);
  /// After a failure: removes what no later run can use. Finished blocks stay, unless the input was
  /// wrong and this run began the job: mended input is another job.
  void clean_up(bool wrong_input) noexcept;

 private:
  State open(const JobIdentity& identity) const;

  std::filesystem::path path_;
  DirectoryLock lock_;
  State state_;
};

/// For laconic.json: a finished directory says what it was made from.
nlohmann::json to_json(const JobIdentity& identity);

}  // namespace laconic
