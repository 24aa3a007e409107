#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include "laconic/graph/operators.h"

namespace torch {
class Library;
}

namespace laconic::graph {

/// What register_operators puts into the library, beside the ropes.
void define_attention(torch::Library& library);
void define_experts(torch::Library& library);

/// An operator of ours by its name, "laconic::rope".
template <typename Function>
auto find_operator(const char* name) {
  register_operators();
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Function>();
}

}  // namespace laconic::graph
