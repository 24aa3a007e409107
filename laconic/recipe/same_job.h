#pragma once

#include <filesystem>

#include "laconic/processes/processes.h"
#include "laconic/recipe/journal.h"

namespace laconic {

/// What several processes agree on before they work on one job; all call each function.

/// @throws c10::ValueError in all of them, naming the first that differs from process 0 and in
/// what.
void check_same_job(Processes& processes, const JobIdentity& identity,
                    const std::filesystem::path& out);

/// Process 0 holds the working directory; the others may go on.
/// @param is_needed  whether there is work left that they share.
void give_work(Processes& processes, bool is_needed);
/// Whether process 0 wants help.
bool wait_for_work(Processes& processes);

/// @throws c10::ValueError in all of them when one does not see what process 0 has written there.
void check_shared_directory(Processes& processes, const std::filesystem::path& directory);

}  // namespace laconic
