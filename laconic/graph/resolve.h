#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include <string>

namespace laconic::graph {

/// "aten::add.Tensor" -> name and overload.
inline c10::OperatorName operator_name(const std::string& target) {
  const size_t dot = target.find('.');
  return dot == std::string::npos
             ? c10::OperatorName(target, "")
             : c10::OperatorName(target.substr(0, dot), target.substr(dot + 1));
}

}  // namespace laconic::graph
