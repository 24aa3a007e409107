#pragma once

#include <optional>
#include <string>
#include <vector>

#include "laconic/export/gguf/network.h"
#include "laconic/file/gguf/super_block.h"
#include "laconic/load/native/native.h"

namespace laconic {

/// Whether float16 holds every scale of the spec.
bool scale_is_half(const Scale& scale);

/// Whether a spec is of those that the types of super_block.h are for: scales of scales, a table,
/// ternary numbers, minifloats. Integers with one float16 a group are not.
bool is_for_super_blocks(const NativeLayer& layer);

/// The smallest type of super-blocks that holds what the spec makes; none when none does.
std::optional<GgufType> super_block_type(const NativeLayer& layer);

/// Why none does, and what to put into the recipe; empty when one does.
std::vector<std::string> super_block_obstacles(const NativeLayer& layer);

/// Scales as a float for the whole layer times e4m3 numbers, which are NVFP4's.
struct TensorScale {
  float scale = 1;   ///< of the layer
  at::Tensor codes;  ///< int16 [out, in / 16], the seven bits of positive e4m3 numbers
};
/// @throws c10::ValueError naming the layer when its scales are not such products.
TensorScale find_tensor_scale(const NativeDirectory& model, const NativeLayer& layer);

/// Integers and one float16 for each `run` of them.
struct UnitCodes {
  at::Tensor codes;  ///< int16 [rows, n]
  at::Tensor unit;   ///< float16 [rows, n / run]
};
/// Finds integers up to `most` in magnitude whose multiples of a float16 are `values`.
/// @param values     float32 [rows, n], n a multiple of `run`.
/// @param tolerance  of a value, relative to it; 0: exactly.
/// @returns none where a run has no such float16.
std::optional<UnitCodes> find_units(const at::Tensor& values, int64_t run, int64_t most,
                                    double tolerance);

/// Rows of a layer as blocks of `type`, in the order given: uint8 [out, bytes of a row].
/// @throws c10::ValueError naming the layer when its scales are not what its spec says.
at::Tensor super_block_rows(const NativeDirectory& model, const NativeLayer& layer, GgufType type,
                            RowOrder order, const GgufNetwork& network);

}  // namespace laconic
