#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "laconic/cli/command_line.h"
#include "laconic/evaluate/perplexity.h"
#include "laconic/recipe/parts.h"

namespace laconic {

/// A model all of whose numbers are finite. @throws c10::ValueError naming the first tensor that
/// has others.
LanguageModel load_checked_model(const std::filesystem::path& directory, const Parts& parts);

/// What a command says as the evaluation's options; "auto" BOS is resolved for the model.
PerplexityOptions to_options(const EvaluationCommand& command, const LanguageModel& model,
                             bool progress);

std::string name_of(Convention convention);
std::string name_of(BosPolicy bos);

/// All figures of a result, by the names of its fields.
nlohmann::json to_json(const PerplexityResult& result);

}  // namespace laconic
