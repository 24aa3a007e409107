#pragma once

#include "compare.h"

namespace laconic::golden {

// One function an area, in a file of its name: composes the library's parts as the case says.
// @throws c10::ValueError for an op or an option that is not known.

Answer answer_a2q(const Case& item);
Answer answer_act_dynamic(const Case& item);
Answer answer_act_quant(const Case& item);
Answer answer_bit_width(const Case& item);
Answer answer_scaling(const Case& item);
Answer answer_stats(const Case& item);
Answer answer_core_int(const Case& item);
Answer answer_core_float(const Case& item);
Answer answer_core_binary_ternary(const Case& item);
Answer answer_zero_point(const Case& item);
/// weight_int, weight_group, weight_float and weight_mx: one quantizer of many parts.
Answer answer_weight(const Case& item);
Answer answer_error_feedback(const Case& item);
/// Of weight_preprocess: error feedback whose codes fit an accumulator.
Answer answer_accumulator(const Case& item);
/// The rest of weight_preprocess: what is done to weights before they are quantized.
Answer answer_weight_preprocess(const Case& item);
/// Weight and activation equalization, channel splitting.
Answer answer_equalization(const Case& item);
Answer answer_optimizers(const Case& item);
Answer answer_rounding(const Case& item);
Answer answer_learned_round(const Case& item);
Answer answer_core_trunc(const Case& item);
Answer answer_bias(const Case& item);
Answer answer_quant_tensor(const Case& item);
Answer answer_presets(const Case& item);
Answer answer_rotation(const Case& item);

}  // namespace laconic::golden
