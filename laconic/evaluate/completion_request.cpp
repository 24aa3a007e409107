#include <c10/util/Exception.h>

#include <cmath>
#include <set>

#include "laconic/base/text.h"
#include "laconic/evaluate/bos.h"
#include "laconic/evaluate/completions.h"

namespace laconic {
namespace {

using nlohmann::json;

/// Fields of a request, each read once with its kind and range.
class RequestFields {
 public:
  explicit RequestFields(const json& request) : request_(request) {
    TORCH_CHECK_VALUE(request.is_object(), "[completions] the body: expected a JSON object, got ",
                      request.type_name(), ".");
  }

  [[noreturn]] void fail(const char* key, const std::string& expected) const {
    std::string got = request_.at(key).dump(-1, ' ', true, json::error_handler_t::replace);
    if (got.size() > 80) got = got.substr(0, 80) + "...";
    TORCH_CHECK_VALUE(false, "[completions] ", key, ": expected ", expected, ", got ", got, ".");
  }

  /// Null when absent.
  const json& field(const char* key) {
    static const json kNothing;
    known_.insert(key);
    const auto found = request_.find(key);
    return found == request_.end() ? kNothing : *found;
  }

  int64_t integer(const char* key, int64_t fallback, int64_t least, int64_t most) {
    const json& value = field(key);
    if (value.is_null()) return fallback;
    const bool fits = value.is_number_integer() &&
                      !(value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) &&
                      value.get<int64_t>() >= least && value.get<int64_t>() <= most;
    if (!fits)
      fail(key, "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    return value.get<int64_t>();
  }

  double number(const char* key, double fallback, double most) {
    const json& value = field(key);
    if (value.is_null()) return fallback;
    if (!value.is_number() || !(value.get<double>() >= 0) || value.get<double>() > most)
      fail(key, "a number from 0 to " + std::to_string(static_cast<int64_t>(most)));
    return value.get<double>();
  }

  bool boolean(const char* key, bool fallback) {
    const json& value = field(key);
    if (value.is_null()) return fallback;
    if (!value.is_boolean()) fail(key, "true or false");
    return value.get<bool>();
  }

  /// What is not done here may be there with the value that asks for nothing.
  void neutral(const char* key, const json& value) {
    const json& given = field(key);
    if (!given.is_null() && given != value) fail(key, value.dump() + " (others are not done)");
  }

  void finish() const {
    for (const auto& [key, unused] : request_.items()) {
      const std::vector<std::string> known(known_.begin(), known_.end());
      TORCH_CHECK_VALUE(known_.contains(key), "[completions] unknown field \"", key.substr(0, 80),
                        "\"", suggestion(key, known), ".");
    }
  }

 private:
  const json& request_;
  std::set<std::string> known_;
};

std::vector<int64_t> ids_of_text(const std::string& text, const LanguageModel& model) {
  TORCH_CHECK_VALUE(model.tokenizer != nullptr,
                    "[completions] prompt: the model's directory has no tokenizer: expected lists "
                    "of token ids, got a text.");
  auto ids = model.tokenizer->encode(text, /*add_special_tokens=*/true);
  TORCH_CHECK_VALUE(!ids.empty(),
                    "[completions] prompt: expected at least one token, got an empty text.");
  return ids;
}

std::vector<int64_t> ids_of_list(const json& list, const LanguageModel& model) {
  std::vector<int64_t> ids;
  for (const json& item : list) {
    const bool fits = item.is_number_integer() && item.get<int64_t>() >= 0 &&
                      item.get<int64_t>() < model.vocabulary_size;
    TORCH_CHECK_VALUE(fits, "[completions] prompt: expected token ids from 0 to ",
                      model.vocabulary_size - 1, ", got ", item.dump().substr(0, 80), ".");
    ids.push_back(item.get<int64_t>());
  }
  TORCH_CHECK_VALUE(!ids.empty(), "[completions] prompt: expected at least one token, got none.");
  return ids;
}

/// A text, a list of ids, a list of texts, or a list of lists of ids.
std::vector<std::vector<int64_t>> read_prompts(RequestFields& fields, const LanguageModel& model,
                                               const CompletionLimits& limits) {
  const json& prompt = fields.field("prompt");
  TORCH_CHECK_VALUE(!prompt.is_null(), "[completions] prompt: expected a text or token ids, got ",
                    "nothing.");
  if (prompt.is_string()) return {ids_of_text(prompt.get<std::string>(), model)};
  const std::string expected = "a text, token ids, or a list of such";
  if (!prompt.is_array() || prompt.empty()) fields.fail("prompt", expected);
  if (prompt[0].is_number()) return {ids_of_list(prompt, model)};
  if (static_cast<int64_t>(prompt.size()) > limits.prompts)
    fields.fail("prompt", "at most " + std::to_string(limits.prompts) + " prompts");
  std::vector<std::vector<int64_t>> prompts;
  for (const json& item : prompt) {
    if (!item.is_string() && !item.is_array()) fields.fail("prompt", expected);
    prompts.push_back(item.is_string() ? ids_of_text(item.get<std::string>(), model)
                                       : ids_of_list(item, model));
  }
  return prompts;
}

std::vector<std::string> read_stops(RequestFields& fields, const CompletionLimits& limits) {
  json stop = fields.field("stop");
  if (stop.is_null()) return {};
  if (stop.is_string()) stop = json::array({stop});
  const std::string expected = "up to " + std::to_string(limits.stops) + " texts of at most " +
                               std::to_string(limits.stop_bytes) + " bytes";
  if (!stop.is_array() || static_cast<int64_t>(stop.size()) > limits.stops)
    fields.fail("stop", expected);
  std::vector<std::string> stops;
  for (const json& item : stop) {
    if (!item.is_string() ||
        static_cast<int64_t>(item.get_ref<const std::string&>().size()) > limits.stop_bytes)
      fields.fail("stop", expected);
    if (item != "") stops.push_back(item.get<std::string>());
  }
  return stops;
}

}  // namespace

CompletionRequest read_completion(const json& body, const LanguageModel& model,
                                  const CompletionLimits& limits) {
  RequestFields fields(body);
  CompletionRequest request;
  request.prompts = read_prompts(fields, model, limits);
  const int64_t most = model.maximum_length > 0 ? model.maximum_length : 1 << 20;
  request.max_tokens = fields.integer("max_tokens", 16, 0, most);
  request.echo = fields.boolean("echo", false);
  request.logprobs = fields.integer("logprobs", -1, 0, limits.logprobs);
  request.stop = read_stops(fields, limits);
  request.sampling.temperature = fields.number("temperature", 1, 100);
  request.sampling.top_p = fields.number("top_p", 1, 1);
  if (request.sampling.top_p == 0) fields.fail("top_p", "a number above 0");
  request.sampling.top_k = fields.integer("top_k", 0, 0, model.vocabulary_size);
  request.sampling.seed = static_cast<uint64_t>(fields.integer("seed", 0, INT64_MIN, INT64_MAX));
  for (const char* key : {"model", "user"})
    if (!fields.field(key).is_null() && !fields.field(key).is_string()) fields.fail(key, "a text");
  for (const char* key : {"n", "best_of"}) fields.neutral(key, 1);
  for (const char* key : {"presence_penalty", "frequency_penalty"}) fields.neutral(key, 0);
  fields.neutral("stream", false);
  fields.neutral("suffix", "");
  fields.neutral("logit_bias", json::object());
  fields.finish();
  for (const auto& prompt : request.prompts) {
    const auto length = static_cast<int64_t>(prompt.size());
    // The last token that is made is never read.
    const int64_t positions = length + std::max<int64_t>(request.max_tokens - 1, 0);
    TORCH_CHECK_VALUE(model.maximum_length <= 0 || positions <= model.maximum_length,
                      "[completions] prompt: ", length, " tokens and max_tokens ",
                      request.max_tokens, ": the model has ", model.maximum_length,
                      " positions. Shorten one of them.");
  }
  return request;
}

}  // namespace laconic
