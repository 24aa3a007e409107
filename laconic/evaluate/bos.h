#pragma once

#include <cstdint>
#include <optional>

#include "laconic/evaluate/perplexity.h"

namespace laconic {

/// Id of the token that begins a text: `bos_token_id` of config.json, else `bos_token` of
/// tokenizer_config.json.
std::optional<int64_t> bos_token(const LanguageModel& model);
/// @throws c10::ValueError naming the files when the model has none, or its id is outside of the
/// vocabulary.
int64_t required_bos_token(const LanguageModel& model);

/// Where BOS stands when nobody says: nowhere, but for llama.cpp, which puts it at the begin of
/// each window if the tokenizer begins texts with it.
BosPolicy default_bos(const LanguageModel& model, Convention convention);

}  // namespace laconic
