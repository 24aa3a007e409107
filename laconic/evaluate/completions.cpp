#include "laconic/evaluate/completions.h"

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/topk.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>

#include "laconic/base/interrupt.h"
#include "laconic/file/json/json.h"

namespace laconic {
namespace {

using nlohmann::json;

/// JSON has no infinity: the logarithm of what never happens.
constexpr double kNever = -9999.0;

/// As many tokens before one decide how it is written.
constexpr size_t kContext = 8;

/// "eos_token_id": a number or a list.
void add_ends(const json& config, std::vector<int64_t>& ends) {
  const auto found = config.find("eos_token_id");
  if (found == config.end()) return;
  const json list = found->is_array() ? *found : json::array({*found});
  for (const json& id : list)
    if (id.is_number_integer()) ends.push_back(id.get<int64_t>());
}

std::vector<int64_t> ends_of(const LanguageModel& model) {
  std::vector<int64_t> ends;
  add_ends(model.config, ends);
  const auto file = model.directory / "generation_config.json";
  if (std::filesystem::exists(file)) {
    const json generation = read_json_file(file);
    if (generation.is_object()) add_ends(generation, ends);
  }
  return ends;
}

/// Characters that begin in these bytes.
int64_t characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

int64_t seconds_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

size_t first_stop(const std::string& text, const std::vector<std::string>& stops) {
  size_t first = std::string::npos;
  for (const std::string& stop : stops) first = std::min(first, text.find(stop));
  return first;
}

}  // namespace

/// One prompt's tokens and what is said of them.
struct Completions::Answer {
  std::vector<int64_t> ids;            ///< prompt, then what was made
  std::vector<at::Tensor> logarithms;  ///< [vocabulary] of each id but the first
  std::string text;                    ///< made, without stop or end
  const char* finish = "length";
};

Completions::Completions(LanguageModel model, std::string name, at::Device device)
    : model_(std::move(model)),
      name_(std::move(name)),
      device_(device),
      decoder_(model_.graph, model_.parameters),
      ends_(ends_of(model_)) {}

std::string Completions::text_of(std::span<const int64_t> ids) const {
  if (model_.tokenizer) return model_.tokenizer->decode(ids, /*skip_special_tokens=*/false);
  std::string text;
  for (const int64_t id : ids) text += "<" + std::to_string(id) + ">";
  return text;
}

std::string Completions::name_of(int64_t id) const { return text_of(std::span(&id, 1)); }

/// What the token adds to the text of those before it.
std::string Completions::piece(const std::vector<int64_t>& ids, size_t index) const {
  const size_t first = index - std::min(index, kContext);
  const std::span near(ids.data() + first, index - first + 1);
  const std::string before = text_of(near.first(near.size() - 1)), with = text_of(near);
  return with.starts_with(before) ? with.substr(before.size()) : name_of(ids[index]);
}

/// After each of the ids, [ids, vocabulary], on the CPU.
at::Tensor Completions::logits_of(Decoding& decoding, const std::vector<int64_t>& ids) const {
  return decoding.extend(at::tensor(ids, at::kLong).unsqueeze(0).to(device_))[0].cpu();
}

Completions::Answer Completions::answer(const CompletionRequest& request,
                                        const std::vector<int64_t>& prompt) {
  Answer answer;
  answer.ids = prompt;
  const bool wants_logarithms = request.logprobs >= 0;
  Decoding decoding(decoder_);
  Sampler sampler(request.sampling);
  at::Tensor logits = logits_of(decoding, prompt);
  if (wants_logarithms && request.echo) {
    const auto shares = at::log_softmax(logits, -1);
    for (int64_t i = 0; i + 1 < shares.size(0); ++i) answer.logarithms.push_back(shares[i]);
  } else if (wants_logarithms) {
    answer.logarithms.resize(prompt.size() - 1);
  }
  for (int64_t made = 0; made < request.max_tokens; ++made) {
    check_interrupt();
    const at::Tensor last = logits[-1];
    const int64_t id = sampler.choose(last);
    answer.ids.push_back(id);
    if (wants_logarithms) answer.logarithms.push_back(at::log_softmax(last, -1));
    const bool is_end = std::find(ends_.begin(), ends_.end(), id) != ends_.end();
    const bool is_last = is_end || made + 1 == request.max_tokens;
    size_t stop = std::string::npos;
    // The whole text, for a token can change how those before it are written.
    if (is_last || !request.stop.empty()) {
      const std::span<const int64_t> ids(answer.ids);
      answer.text =
          text_of(ids.subspan(prompt.size(), ids.size() - prompt.size() - (is_end ? 1 : 0)));
      stop = first_stop(answer.text, request.stop);
      if (stop != std::string::npos) answer.text.resize(stop);
    }
    if (is_end || stop != std::string::npos) {
      answer.finish = "stop";
      break;
    }
    if (!is_last) logits = logits_of(decoding, {id});
  }
  return answer;
}

json Completions::logarithms(const CompletionRequest& request, const Answer& answer,
                             size_t prompt) const {
  json tokens = json::array(), logarithms = json::array(), tops = json::array(),
       offsets = json::array();
  int64_t offset = 0;
  for (size_t i = request.echo ? 0 : prompt; i < answer.ids.size(); ++i) {
    const std::string text = piece(answer.ids, i);
    tokens.push_back(text);
    offsets.push_back(offset);
    offset += characters(text);
    if (i == 0) {
      logarithms.push_back(nullptr);
      tops.push_back(nullptr);
      continue;
    }
    const at::Tensor row = answer.logarithms.at(i - 1).to(at::kFloat);
    const auto number = [](const at::Tensor& x) { return std::max(x.item<double>(), kNever); };
    const double own = number(row[answer.ids[i]]);
    logarithms.push_back(own);
    json top = json::object();
    if (request.logprobs > 0) {
      const auto [values, ids] = at::topk(row, std::min(request.logprobs, row.size(0)));
      // Of two tokens that are written alike the more probable one.
      for (int64_t k = 0; k < ids.size(0); ++k)
        top.emplace(name_of(ids[k].item<int64_t>()), number(values[k]));
      if (!top.contains(text)) top[text] = own;
    }
    tops.push_back(top);
  }
  return {{"tokens", tokens},
          {"token_logprobs", logarithms},
          {"top_logprobs", request.logprobs > 0 ? tops : json()},
          {"text_offset", offsets}};
}

json Completions::complete(const json& body) {
  const std::lock_guard one_at_a_time(mutex_);
  const c10::InferenceMode no_gradients;
  const auto begin = std::chrono::steady_clock::now();
  const CompletionRequest request = read_completion(body, model_);
  json choices = json::array();
  int64_t read = 0, made = 0;
  for (size_t i = 0; i < request.prompts.size(); ++i) {
    check_interrupt();
    const auto& prompt = request.prompts[i];
    const Answer found = answer(request, prompt);
    read += static_cast<int64_t>(prompt.size());
    made += static_cast<int64_t>(found.ids.size() - prompt.size());
    choices.push_back(
        {{"index", i},
         {"text", (request.echo ? text_of(prompt) : "") + found.text},
         {"logprobs", request.logprobs < 0 ? json() : logarithms(request, found, prompt.size())},
         {"finish_reason", found.finish}});
  }
  read_tokens_ += read, made_tokens_ += made;
  microseconds_ += std::chrono::duration_cast<std::chrono::microseconds>(
                       std::chrono::steady_clock::now() - begin)
                       .count();
  return {{"id", "cmpl-" + std::to_string(++answered_)},
          {"object", "text_completion"},
          {"created", seconds_now()},
          {"model", name_},
          {"choices", choices},
          {"usage",
           {{"prompt_tokens", read}, {"completion_tokens", made}, {"total_tokens", read + made}}}};
}

json Completions::models() const {
  return {{"object", "list"},
          {"data",
           {{{"id", name_},
             {"object", "model"},
             {"owned_by", "laconic"},
             {"max_model_len", model_.maximum_length}}}}};
}

std::string Completions::metrics() const {
  const auto counter = [](const char* name, const char* help, const std::string& value) {
    const std::string full = std::string("laconic_") + name;
    return "# HELP " + full + " " + help + "\n# TYPE " + full + " counter\n" + full + " " + value +
           "\n";
  };
  return counter("requests_total", "Completion requests answered.", std::to_string(answered_)) +
         counter("refused_total", "Requests refused.", std::to_string(refused_)) +
         counter("prompt_tokens_total", "Tokens read.", std::to_string(read_tokens_)) +
         counter("completion_tokens_total", "Tokens made.", std::to_string(made_tokens_)) +
         counter("seconds_total", "Time spent on completions.",
                 std::to_string(static_cast<double>(microseconds_) * 1e-6));
}

}  // namespace laconic
