// Any text as a recipe: a clear error, or a recipe that prints and reads back equal.
#include <c10/util/Exception.h>

#include "laconic/recipe/recipe.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const laconic::Recipe recipe = laconic::parse_recipe(text, "fuzz");
    if (laconic::parse_recipe(laconic::to_yaml(recipe), "printed") != recipe) __builtin_trap();
  } catch (const c10::Error&) {
  }
  return 0;
}
