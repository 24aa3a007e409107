#include "laconic/recipe/same_job.h"

#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "laconic/base/text.h"

namespace laconic {
namespace {

constexpr const char *kWork = "work", *kNoWork = "no work";

/// What differs, in words.
std::vector<std::string> differing_parts(const nlohmann::json& one, const nlohmann::json& other) {
  std::vector<std::string> names;
  for (const auto& [name, value] : one.items())
    if (other.at(name) != value) names.push_back("--" + name);
  return names;
}

}  // namespace

void check_same_job(Processes& processes, const JobIdentity& identity,
                    const std::filesystem::path& out) {
  nlohmann::json job = {{"model", identity.model},
                        {"recipe", identity.recipe},
                        {"calibration", identity.data},
                        {"out", std::filesystem::absolute(out).lexically_normal().string()}};
  const auto jobs = gather_text(processes, job.dump());
  const auto first = nlohmann::json::parse(jobs.front());
  for (size_t i = 1; i < jobs.size(); ++i) {
    const auto differing = differing_parts(first, nlohmann::json::parse(jobs[i]));
    TORCH_CHECK_VALUE(differing.empty(), "[processes] process ", i,
                      " has another job than process 0: ", join(differing, ", "),
                      differing.size() > 1 ? " differ" : " differs",
                      ". Start all of them with the same command and the same files.");
  }
}

void give_work(Processes& processes, bool is_needed) {
  share_text(processes, is_needed ? kWork : kNoWork, 0);
}

bool wait_for_work(Processes& processes) { return share_text(processes, "", 0) == kWork; }

void check_shared_directory(Processes& processes, const std::filesystem::path& directory) {
  const auto seen = gather_text(processes, JobDirectory::is_job(directory) ? "seen" : "");
  for (size_t i = 0; i < seen.size(); ++i)
    TORCH_CHECK_VALUE(!seen[i].empty(), "[processes] process ", i, " does not see ",
                      directory.string(),
                      ", in which process 0 works. Choose a directory that all "
                      "of them see (--out).");
}

}  // namespace laconic
