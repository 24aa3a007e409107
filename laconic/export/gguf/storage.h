#pragma once

#include "laconic/export/gguf/gguf_export.h"
#include "laconic/export/gguf/network.h"
#include "laconic/file/gguf/gguf.h"

namespace laconic {

/// Why no integer block holds what the layer's spec makes, and what to put into the recipe, from
/// the spec and the shape alone.
std::vector<std::string> block_obstacles(const NativeLayer& layer);

/// The smallest block type that holds the layer's numbers as they are. Where the spec leaves a
/// choice (an integer zero point), the numbers decide: Q4_1 when every minimum is a float16, else
/// the symmetric type that is wide enough.
/// @throws c10::ValueError naming the layer when a scale is no float16 although the spec says so.
GgufType block_type(const NativeDirectory& model, const NativeLayer& layer);

/// Rows of a quantized layer as blocks, in the order given: uint8 [out, bytes of a row].
at::Tensor block_rows(const NativeDirectory& model, const NativeLayer& layer, GgufType type,
                      RowOrder order, const GgufNetwork& network);

/// The type for a float tensor that is not quantized.
/// @throws c10::ValueError naming the tensor for NaN or infinity, or a number beyond float16
/// (kF16).
GgufType float_type(const std::string& name, const at::Tensor& tensor, GgufPrecision precision);

}  // namespace laconic
