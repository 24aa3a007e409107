#pragma once

#include <map>
#include <string>

#include "laconic/load/language_model.h"
#include "laconic/recipe/recipe.h"

namespace laconic {

/// By module: the quantizers of attention that the recipe asks for; the last rule that matches
/// wins.
/// @throws c10::ValueError with the rule's "file:line:column" for a pattern that matches no
/// attention of the model, and for a group size that does not divide the size of its heads.
std::map<std::string, graph::AttentionQuantizers> plan_attention(const Recipe& recipe,
                                                                 const LanguageModel& model);

/// One line a kind of quantizer: "keys int4 ... (32 attentions)".
std::vector<std::string> describe_attention(
    const std::map<std::string, graph::AttentionQuantizers>& quantizers);

}  // namespace laconic
