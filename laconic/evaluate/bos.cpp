#include "laconic/evaluate/bos.h"

#include <c10/util/Exception.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "laconic/base/atomic_file.h"

namespace laconic {
namespace {

constexpr uint64_t kMaximumBytes = uint64_t{64} << 20;

// "bos_token": "<s>" or {"content": "<s>", ...}
std::optional<int64_t> named_token(const LanguageModel& model) {
  const auto path = model.directory / "tokenizer_config.json";
  if (!model.tokenizer || !std::filesystem::exists(path)) return std::nullopt;
  const auto settings = nlohmann::json::parse(read_text_file(path, kMaximumBytes), nullptr, false);
  if (!settings.is_object() || !settings.contains("bos_token")) return std::nullopt;
  const auto& token = settings["bos_token"];
  if (token.is_string()) return model.tokenizer->id_of(token.get<std::string>());
  const bool has_content =
      token.is_object() && token.contains("content") && token["content"].is_string();
  return has_content ? model.tokenizer->id_of(token["content"].get<std::string>()) : std::nullopt;
}

}  // namespace

std::optional<int64_t> bos_token(const LanguageModel& model) {
  const auto found = model.config.find("bos_token_id");
  if (found != model.config.end() && found->is_number_integer()) return found->get<int64_t>();
  return named_token(model);
}

int64_t required_bos_token(const LanguageModel& model) {
  const auto token = bos_token(model);
  TORCH_CHECK_VALUE(
      token.has_value(), "[perplexity] ", model.directory.string(),
      ": no BOS token: expected bos_token_id in config.json or bos_token in tokenizer_config.json. "
      "Use --bos none.");
  TORCH_CHECK_VALUE(*token >= 0 && *token < model.vocabulary_size, "[perplexity] ",
                    model.directory.string(), ": bos_token_id is ", *token,
                    ": expected less than the vocabulary of ", model.vocabulary_size, ".");
  return *token;
}

BosPolicy default_bos(const LanguageModel& model, Convention convention) {
  if (convention != Convention::kLlamaCpp || !model.tokenizer) return BosPolicy::kNone;
  const auto token = bos_token(model);
  const std::vector<int64_t> ids = model.tokenizer->encode("a", true);
  return token && !ids.empty() && ids.front() == *token ? BosPolicy::kWindow : BosPolicy::kNone;
}

}  // namespace laconic
