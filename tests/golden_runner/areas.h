#pragma once

#include "compare.h"

namespace laconic::golden {

// One function an area, in a file of its name: composes the library's parts as the case says.
// @throws c10::ValueError for an op or an option that is not known.

Answer answer_core_int(const Case& item);
Answer answer_zero_point(const Case& item);
Answer answer_weight_int(const Case& item);
Answer answer_error_feedback(const Case& item);
Answer answer_rounding(const Case& item);
Answer answer_learned_round(const Case& item);
Answer answer_core_trunc(const Case& item);
Answer answer_bias(const Case& item);
Answer answer_quant_tensor(const Case& item);

}  // namespace laconic::golden
