#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

namespace laconic::graph {

/// Calls an operator whose tensors may be on the meta device. LibTorch has the shapes-only kernels
/// of many operators (layer_norm, index_select, convolution, lstm, ...) in Python alone: where one
/// is missing, the operator runs on zeros of the CPU and gives meta tensors of the same shape,
/// strides and dtype. A call that changes a tensor in place does nothing then.
void call_for_shapes(const c10::OperatorHandle& op, torch::jit::Stack* stack);

}  // namespace laconic::graph
