#pragma once

#include <c10/util/Exception.h>

/// Our own invariant. A failure is a bug of Laconic, never of the user's input.
#define LACONIC_ASSERT(condition, ...)                                                             \
  do {                                                                                             \
    if (!(condition)) [[unlikely]] {                                                               \
      TORCH_CHECK(false, "Laconic has a bug (", #condition, " at ", __FILE__, ":", __LINE__, ") ", \
                  ##__VA_ARGS__, " Please report it with the command that you ran.");              \
    }                                                                                              \
  } while (false)
