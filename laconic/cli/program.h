#pragma once

#include "laconic/recipe/parts.h"

namespace laconic {

/// The whole program: reads the arguments, does the work, prints. A `main` of a user's own that
/// adds parts is one line: `return laconic::run_program(argc, argv, parts);`
///
/// @returns the exit code: 0 done, 1 failed work, 2 wrong use or input, 130 after Ctrl-C, 143 after
/// a
///          polite kill. Each failure is one message on standard error; nothing is thrown.
int run_program(int argc, const char* const* argv, const Parts& parts = {});

}  // namespace laconic
