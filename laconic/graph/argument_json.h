#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "laconic/graph/graph.h"

namespace laconic::graph {

/// Tensors beside the JSON, by name.
using TensorTable = std::map<std::string, at::Tensor>;

/// An argument as JSON: null, truth values, numbers and texts as they are; {"value": [node,
/// output]}, {"size": [factor, batch power, length power]}, {"list": [...]}, {"ints": [...]},
/// {"floats": [...]}, {"bools": [...]}, {"device": "cpu"}, {"tensor": name in the table}. A number
/// that is not finite is {"float": "inf"}.
/// @param name  for a constant tensor in the table.
/// @throws c10::ValueError for another kind of constant.
nlohmann::json to_json(const Argument& argument, const std::string& name, TensorTable& tensors);

/// @param where  begin of every message.
/// @throws c10::ValueError
Argument argument_from_json(const nlohmann::json& json, const std::string& where,
                            const TensorTable& tensors);

}  // namespace laconic::graph
