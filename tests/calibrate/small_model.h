#pragma once

#include <ATen/ATen.h>

#include "laconic/load/language_model.h"
#include "tests/testing/testing.h"

namespace laconic::testing {

/// The small model as the engine reads it: no parameter stays in memory.
inline const LanguageModel& tiny() {
  static const LanguageModel model =
      load_language_model(repository() / "assets/tiny-lm", {.resident = false});
  return model;
}

/// Windows of random ids of its vocabulary, always the same ones.
inline at::Tensor some_windows(int64_t count = 5, int64_t length = 24) {
  at::manual_seed(5);
  return at::randint(0, tiny().vocabulary_size, {count, length}, at::kLong);
}

}  // namespace laconic::testing
