#pragma once

#include "laconic/kernel/round_columns.h"
#include "laconic/quant/format/format.h"

namespace laconic::columns {

/// The format's rounding to nearest as the kernel takes it: the same element for every float32
/// number as quantize_codes gives (zero is always the positive one). All undefined for integers,
/// which need none. Of a ChoiceFormat a row for each table.
kernel::Staircase staircase(const Format& format);

}  // namespace laconic::columns
