#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <optional>
#include <string>

namespace laconic::graph {

/// Refuses a call that cannot be a node of a graph that holds for every input: a random operator,
/// one that looks into a tensor (item, a condition), one whose shape depends on values (nonzero, an
/// index by a mask), normalization by the statistics of the batch, writing into a given tensor
/// (out=).
/// @param where  begin of the message: "[trace] module "encoder.0": ".
/// @throws c10::ValueError
void check_traceable(const c10::OperatorHandle& op, const torch::jit::Stack& arguments,
                     const std::string& where);

/// Whether the argument is written by the operator ("self" of aten::relu_).
bool is_written(const c10::Argument& argument);

/// The form of an in-place operator that leaves its argument alone: "aten::add.Tensor" of
/// "aten::add_.Tensor"; none when there is none with the same arguments.
std::optional<std::string> functional_form(const c10::OperatorHandle& op);

}  // namespace laconic::graph
