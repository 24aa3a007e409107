#include "laconic/export/gguf/rope_keys.h"

#include <cmath>

#include "laconic/model/rope.h"

namespace laconic {
namespace {

using model::Config;

class RopeKeys {
 public:
  RopeKeys(const Config& config, GgufNetwork& network) : config_(config), network_(network) {}

  int64_t put(const RopeFacts& facts) {
    const auto scaling = parameters();
    double theta = facts.theta, partial = facts.partial_factor;
    std::string type = "default";
    if (scaling) {
      theta = scaling->number_or("rope_theta", theta);
      partial = scaling->number_or("partial_rotary_factor", partial);
      type = scaling->text_or(scaling->has("rope_type") ? "rope_type" : "type", type);
    }
    const auto rope = model::read_rope(
        config_,
        {.head_dim = facts.head_dim, .theta = facts.theta, .partial_factor = facts.partial_factor});
    set("freq_base", static_cast<float>(theta));
    const auto turned = static_cast<int64_t>(static_cast<double>(facts.head_dim) * partial);
    if (scaling && type != "default") put_scaling(*scaling, type, rope, theta, turned);
    return turned;
  }

 private:
  void set(const std::string& key, GgufValue value) {
    network_.keys.emplace_back(network_.architecture + ".rope." + key, std::move(value));
  }

  // The older field wins, as in the reference.
  std::optional<Config> parameters() const {
    for (const char* key : {"rope_scaling", "rope_parameters"}) {
      if (config_.has(key) && !config_.json().at(key).empty()) return config_.object(key);
    }
    return std::nullopt;
  }

  void put_scaling(const Config& scaling, const std::string& type, const model::Rope& rope,
                   double theta, int64_t turned) {
    if (type == "linear") {
      set("scaling.type", std::string("linear"));
      set("scaling.factor", static_cast<float>(scaling.number("factor")));
    } else if (type == "yarn") {
      put_yarn(scaling, std::get<model::FixedRope>(rope));
    } else if (type == "llama3" && network_.architecture == "llama") {
      put_divisors(std::get<model::FixedRope>(rope), theta, turned);
    } else if (type == "dynamic") {
      network_.notes.push_back("llama.cpp has no dynamic rope scaling: beyond " +
                               std::to_string(config_.integer("max_position_embeddings")) +
                               " tokens its answers differ from the model's.");
    } else {
      network_.obstacles.push_back("config.json: rope type " + type +
                                   ": llama.cpp's architecture " + network_.architecture +
                                   " does not know it. " + kNearest);
    }
  }

  void put_yarn(const Config& scaling, const model::FixedRope& rope) {
    const char* const length = "original_max_position_embeddings";
    const int64_t original = config_.has(length)   ? config_.integer(length)
                             : scaling.has(length) ? scaling.integer(length)
                                                   : config_.integer("max_position_embeddings");
    const double factor = scaling.has("factor")
                              ? scaling.number("factor")
                              : static_cast<double>(config_.integer("max_position_embeddings")) /
                                    static_cast<double>(original);
    set("scaling.type", std::string("yarn"));
    set("scaling.factor", static_cast<float>(factor));
    set("scaling.original_context_length", static_cast<uint32_t>(original));
    set("scaling.yarn_beta_fast", static_cast<float>(scaling.number_or("beta_fast", 32)));
    set("scaling.yarn_beta_slow", static_cast<float>(scaling.number_or("beta_slow", 1)));
    // llama.cpp multiplies this with its own 1 + 0.1 ln(factor).
    const double natural = factor <= 1 ? 1.0 : 0.1 * std::log(factor) + 1.0;
    set("scaling.attn_factor", static_cast<float>(rope.scaling / natural));
    if (!scaling.boolean_or("truncate", true)) {
      network_.obstacles.push_back(
          std::string("config.json: rope: truncate is false, llama.cpp knows only true. ") +
          kNearest);
    }
  }

  void put_divisors(const model::FixedRope& rope, double theta, int64_t turned) {
    for (size_t i = 0; i < rope.frequencies.size(); ++i) {
      const double plain =
          std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(turned));
      network_.rope_divisors.push_back(static_cast<float>(plain / rope.frequencies[i]));
    }
  }

  const Config& config_;
  GgufNetwork& network_;
};

}  // namespace

int64_t put_rope_keys(const Config& config, const RopeFacts& facts, GgufNetwork& network) {
  return RopeKeys(config, network).put(facts);
}

}  // namespace laconic
