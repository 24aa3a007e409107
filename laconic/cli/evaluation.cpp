#include "laconic/cli/evaluation.h"

#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>

#include "laconic/base/assert.h"
#include "laconic/evaluate/bos.h"

namespace laconic {
namespace {

constexpr std::pair<const char*, Convention> kConventions[] = {{"gptq", Convention::kGptq},
                                                               {"llama.cpp", Convention::kLlamaCpp},
                                                               {"stride", Convention::kStride}};
constexpr std::pair<const char*, BosPolicy> kPolicies[] = {
    {"none", BosPolicy::kNone}, {"first", BosPolicy::kFirst}, {"window", BosPolicy::kWindow}};

template <typename Rows>
auto value_of(const Rows& rows, const std::string& name) {
  for (const auto& [word, value] : rows) {
    if (name == word) return value;
  }
  LACONIC_ASSERT(false, "The command line let \"", name, "\" pass.");
}

template <typename Rows, typename Value>
std::string word_of(const Rows& rows, Value wanted) {
  for (const auto& [word, value] : rows) {
    if (value == wanted) return word;
  }
  LACONIC_ASSERT(false, "A value without a name.");
}

}  // namespace

LanguageModel load_checked_model(const std::filesystem::path& directory, const Parts& parts) {
  LanguageModel model = load_language_model(directory, {.parts = parts.quantizers});
  // The first reading of a parameter finds NaN and infinity in it.
  for (const graph::Node& node : model.graph.nodes) {
    if (node.kind != graph::NodeKind::kParameter) continue;
    model.parameters->get(node.target);
    model.parameters->release(node.target);
  }
  return model;
}

PerplexityOptions to_options(const EvaluationCommand& command, const LanguageModel& model,
                             bool progress) {
  TORCH_CHECK_VALUE(model.maximum_length <= 0 || command.context <= model.maximum_length,
                    "--context ", command.context, ": ", model.directory.string(), " has ",
                    model.maximum_length, " positions. Give a context of at most that.");
  PerplexityOptions options;
  options.context = command.context;
  options.convention = value_of(kConventions, command.convention);
  options.bos = command.bos == "auto" ? default_bos(model, options.convention)
                                      : value_of(kPolicies, command.bos);
  options.stride = command.stride;
  options.batch = command.batch;
  options.maximum_windows = command.windows;
  options.progress = progress;
  return options;
}

std::string name_of(Convention convention) { return word_of(kConventions, convention); }
std::string name_of(BosPolicy bos) { return word_of(kPolicies, bos); }

nlohmann::json to_json(const PerplexityResult& result) {
  nlohmann::json json = {{"perplexity", result.perplexity},
                         {"perplexity_error", result.perplexity_error},
                         {"loss", result.loss},
                         {"context", result.context},
                         {"windows", result.windows},
                         {"predictions", result.predictions},
                         {"tokens", result.tokens},
                         {"seconds", result.seconds}};
  if (result.kl_divergence) {
    json["kl_divergence"] = *result.kl_divergence;
    json["kl_error"] = result.kl_error.value_or(0);
    json["top1_agreement"] = result.top1_agreement.value_or(0);
  }
  for (const LayerNoise& layer : result.layers) {
    json["layers"].push_back({{"name", layer.name},
                              {"weight_signal_to_noise_db", layer.weight},
                              {"output_signal_to_noise_db", layer.output}});
  }
  return json;
}

}  // namespace laconic
