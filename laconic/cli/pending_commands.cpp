#include <c10/util/Exception.h>

#include "laconic/cli/commands.h"

namespace laconic {
namespace {
[[noreturn]] void pending(const char* name) {
  TORCH_CHECK_NOT_IMPLEMENTED(false, name, ": this command is not there yet.");
}
}  // namespace

void run_command(const QuantizeCommand&, const Session&) { pending("quantize"); }
void run_command(const PerplexityCommand&, const Session&) { pending("evaluate perplexity"); }
void run_command(const ExportCommand&, const Session&) { pending("export"); }
void run_command(const CompareCommand&, const Session&) { pending("compare"); }

}  // namespace laconic
