#pragma once

#include <exception>

namespace laconic {

/// Thrown by long work after Ctrl-C or SIGTERM: destructors remove half-made files on the way out.
class Interrupted : public std::exception {
 public:
  const char* what() const noexcept override { return "interrupted"; }
};

/// Catches SIGINT and SIGTERM from now on; a second signal ends the program at once.
void install_interrupt_handlers();

/// The signal that came (SIGINT, SIGTERM); 0 before any.
int interrupting_signal();

/// @throws Interrupted after a signal.
void check_interrupt();

}  // namespace laconic
