#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "laconic/load/tokenizer/json_field.h"

namespace laconic::tokenizer {

/// Puts special tokens around the ids of one text.
using PostProcessor = std::function<void(std::vector<int64_t>&)>;

/// Makes the post-processor that `field` describes; what concerns offsets and pairs of texts is
/// passed over.
/// @throws c10::ValueError for an unknown kind (lists the known ones) or a wrong field.
PostProcessor make_post_processor(const JsonField& field);

}  // namespace laconic::tokenizer
