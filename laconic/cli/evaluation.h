#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "laconic/cli/command_line.h"
#include "laconic/evaluate/perplexity.h"

namespace laconic {

/// What a command says as the evaluation's options; "auto" BOS is resolved for the model.
PerplexityOptions to_options(const EvaluationCommand& command, const LanguageModel& model,
                             bool progress);

std::string name_of(Convention convention);
std::string name_of(BosPolicy bos);

/// All figures of a result, by the names of its fields.
nlohmann::json to_json(const PerplexityResult& result);

}  // namespace laconic
