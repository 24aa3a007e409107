#include "laconic/processes/lost_process.h"

#include <c10/util/Exception.h>

namespace laconic {

void report_lost_process(const Processes& processes, const std::string& why) {
  C10_THROW_ERROR(
      Error, c10::str("[processes] process ", processes.rank(), " of ", processes.size(),
                      ": another process has stopped or cannot be reached; what it says is above "
                      "or in its own output. Mend that, and start all of them again. (",
                      why.substr(0, why.find('\n')), ")"));
}

}  // namespace laconic
