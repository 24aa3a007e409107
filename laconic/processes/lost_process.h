#pragma once

#include <string>

#include "laconic/processes/processes.h"

namespace laconic {

/// @param why  as the transport says it; the first line is told.
/// @throws c10::Error always: another process has stopped or cannot be reached.
[[noreturn]] void report_lost_process(const Processes& processes, const std::string& why);

}  // namespace laconic
