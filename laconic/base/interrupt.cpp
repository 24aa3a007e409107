#include "laconic/base/interrupt.h"

#include <csignal>

namespace laconic {
namespace {

volatile std::sig_atomic_t received = 0;

void remember(int signal) {
  received = signal;
  // The second signal takes the default action.
  std::signal(signal, SIG_DFL);
}

}  // namespace

void install_interrupt_handlers() {
  std::signal(SIGINT, remember);
  std::signal(SIGTERM, remember);
}

int interrupting_signal() { return received; }

void check_interrupt() {
  if (received != 0) throw Interrupted();
}

}  // namespace laconic
