#include <nlohmann/json.hpp>
#include <optional>

#include "laconic/base/mapped_file.h"
#include "laconic/base/memory.h"
#include "laconic/base/text.h"
#include "laconic/cli/commands.h"
#include "laconic/cli/evaluation.h"
#include "laconic/cli/table.h"
#include "laconic/evaluate/text.h"
#include "laconic/load/placement.h"

namespace laconic {
namespace {

std::string layer_table(const std::vector<LayerNoise>& layers) {
  std::vector<std::vector<std::string>> rows = {
      {"signal to noise, dB", "of the weight", "of the output"}};
  for (const LayerNoise& layer : layers)
    rows.push_back({layer.name, fixed(layer.weight, 2), fixed(layer.output, 2)});
  return format_table(rows);
}

std::string readable(const PerplexityResult& result, const PerplexityOptions& options) {
  std::string text = "perplexity " + fixed(result.perplexity, 4) + " ± " +
                     fixed(result.perplexity_error, 4) + "\n";
  if (result.kl_divergence) {
    text += "KL divergence to the float model " + fixed(*result.kl_divergence, 6) + " ± " +
            fixed(*result.kl_error, 6) + " nats a token, same most likely token " +
            fixed(100 * *result.top1_agreement, 2) + " %\n";
  }
  if (!result.layers.empty()) text += layer_table(result.layers);
  text += std::to_string(result.windows) + " windows of " + std::to_string(result.context) +
          " tokens, " + std::to_string(result.predictions) + " predictions, convention " +
          name_of(options.convention) + ", BOS " + name_of(options.bos) + ", " +
          readable_seconds(result.seconds) + "\n";
  return text;
}

}  // namespace

void run_command(const PerplexityCommand& command, const Session& session) {
  MappedFile::open(command.evaluation.text);
  LanguageModel model = load_checked_model(command.model, session.parts);
  place(model, session.device, /*resident=*/true);
  std::optional<LanguageModel> against;
  if (!command.against.empty()) {
    against = load_checked_model(command.against, session.parts);
    place(*against, session.device, /*resident=*/true);
  }
  PerplexityOptions options = to_options(command.evaluation, model, session.progress);
  options.layers = command.layers;
  options.device = session.device;
  const auto tokens = read_tokens(model, command.evaluation.text);
  const auto result = evaluate_perplexity(model, tokens, options, against ? &*against : nullptr);
  if (!session.json) return print(readable(result, options));
  nlohmann::json json = to_json(result);
  json["model"] = command.model;
  json["text"] = command.evaluation.text;
  json["convention"] = name_of(options.convention);
  json["bos"] = name_of(options.bos);
  if (against) json["against"] = command.against;
  json["peak_bytes"] = peak_resident_bytes();
  print(json);
}

}  // namespace laconic
