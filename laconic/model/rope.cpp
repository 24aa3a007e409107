#include "laconic/model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

#include "laconic/base/variant.h"

namespace laconic::model {
namespace {

/// What all kinds of scaling start from.
struct Base {
  const Config& model;               ///< config.json
  std::optional<Config> parameters;  ///< rope_scaling or rope_parameters
  double theta = 10000.0;
  int64_t dim = 0;      ///< features that turn
  int64_t maximum = 0;  ///< max_position_embeddings
};

// In float32, as models were trained: the last digits matter at large positions.
std::vector<double> plain_frequencies(const Base& base) {
  std::vector<double> result;
  for (int64_t i = 0; i < base.dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(base.dim);
    result.push_back(1.0f / std::pow(static_cast<float>(base.theta), exponent));
  }
  return result;
}

double original_length(const Base& base) {
  const std::string key = "original_max_position_embeddings";
  if (base.model.has(key)) return base.model.positive(key);
  if (base.parameters->has(key)) return base.parameters->positive(key);
  return static_cast<double>(base.maximum);
}

Rope linear(const Base& base) {
  FixedRope rope{plain_frequencies(base)};
  const double factor = base.parameters->positive("factor");
  for (double& frequency : rope.frequencies) frequency /= factor;
  return rope;
}

Rope dynamic(const Base& base) {
  if (base.dim <= 2 || base.dim % 2 != 0)
    base.parameters->unsupported("rope_type", "dynamic with such heads");
  return graph::DynamicRope{base.theta, base.dim, base.parameters->positive("factor"),
                            base.maximum};
}

/// Long wavelengths are interpolated, short ones kept, those between blended. In float32 like the
/// plain frequencies: at large positions the logits show the difference.
Rope llama3(const Base& base) {
  const Config& parameters = *base.parameters;
  const auto factor = static_cast<float>(parameters.positive("factor")),
             low = static_cast<float>(parameters.positive("low_freq_factor")),
             high = static_cast<float>(parameters.positive("high_freq_factor")),
             length = static_cast<float>(original_length(base));
  if (high == low) parameters.fail("high_freq_factor", "a number other than low_freq_factor");
  FixedRope rope{plain_frequencies(base)};
  for (double& frequency : rope.frequencies) {
    const auto plain = static_cast<float>(frequency);
    const float wavelength = 2 * std::numbers::pi_v<float> / plain;
    if (wavelength < length / high) continue;
    const float smooth = (length / wavelength - low) / (high - low);
    const bool is_long = wavelength > length / low;
    frequency = is_long ? plain / factor : (1 - smooth) * plain / factor + smooth * plain;
  }
  return rope;
}

/// The feature that turns `rotations` times over the original length.
double correction_dim(const Base& base, double rotations, double length) {
  return static_cast<double>(base.dim) * std::log(length / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(base.theta));
}

double yarn_scaling(const Config& parameters, double factor) {
  if (const auto given = parameters.maybe_number("attention_factor")) return *given;
  const auto magnitude = [&](double weight) {
    return factor <= 1 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0;
  };
  const double one = parameters.number_or("mscale", 0),
               all = parameters.number_or("mscale_all_dim", 0);
  return one != 0 && all != 0 ? magnitude(one) / magnitude(all) : magnitude(1);
}

/// Peng et al. 2023, arXiv:2309.00071.
Rope yarn(const Base& base) {
  const Config& parameters = *base.parameters;
  const double length = original_length(base);
  const bool by_ratio = parameters.json().contains("factor") && !parameters.has("factor");
  const double factor =
      by_ratio ? static_cast<double>(base.maximum) / length : parameters.positive("factor");
  const auto beta = [&](const char* key, double fallback) {
    const double value = parameters.number_or(key, fallback);
    return value == 0 ? fallback : value;
  };
  double low = correction_dim(base, beta("beta_fast", 32), length);
  double high = correction_dim(base, beta("beta_slow", 1), length);
  if (parameters.boolean_or("truncate", true)) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, static_cast<double>(base.dim - 1));
  if (low == high) high += 0.001;
  FixedRope rope{plain_frequencies(base), yarn_scaling(parameters, factor)};
  for (size_t i = 0; i < rope.frequencies.size(); ++i) {
    const double interpolated = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    rope.frequencies[i] *= interpolated / factor + (1 - interpolated);
  }
  return rope;
}

std::vector<double> divided(const Base& base, const std::string& key) {
  std::vector<double> frequencies = plain_frequencies(base);
  const auto factors = base.parameters->numbers(key);
  if (factors.size() != frequencies.size() ||
      std::any_of(factors.begin(), factors.end(), [](double f) { return f <= 0; }))
    base.parameters->fail(key,
                          "a list of " + std::to_string(frequencies.size()) + " numbers above 0");
  for (size_t i = 0; i < frequencies.size(); ++i) frequencies[i] /= factors[i];
  return frequencies;
}

Rope longrope(const Base& base) {
  const Config& parameters = *base.parameters;
  const double length = original_length(base);
  const double factor = parameters.number_or("factor", static_cast<double>(base.maximum) / length);
  const double natural = factor <= 1 ? 1.0 : std::sqrt(1 + std::log(factor) / std::log(length));
  return LengthRope{divided(base, "short_factor"), divided(base, "long_factor"),
                    static_cast<int64_t>(length),
                    parameters.number_or("attention_factor", natural)};
}

struct Row {
  const char* name;
  Rope (*make)(const Base&);
};

constexpr Row kRopes[] = {
    {"default", [](const Base& base) -> Rope { return FixedRope{plain_frequencies(base)}; }},
    {"linear", linear},
    {"dynamic", dynamic},
    {"llama3", llama3},
    {"yarn", yarn},
    {"longrope", longrope},
    {"su", longrope},  // its first name
};

/// The older field wins, as in the reference; where kinds of layers differ it is of full attention.
std::optional<Config> rope_parameters(const Config& config, const char* layers) {
  for (const std::string key : {"rope_scaling", "rope_parameters"}) {
    if (!config.has(key) || config.json().at(key).empty()) continue;
    const Config found = config.object(key);
    if (layers == nullptr) return found;
    const bool is_nested = found.has("full_attention") || found.has("sliding_attention");
    if (is_nested && found.has(layers)) return found.object(layers);
    if (!is_nested && std::string(layers) == "full_attention") return found;
  }
  return std::nullopt;
}

}  // namespace

Rope read_rope(const Config& config, const RopeDefaults& defaults) {
  Base base{config, rope_parameters(config, defaults.layers), defaults.theta, 0,
            config.integer("max_position_embeddings")};
  double partial = defaults.partial_factor;
  std::string type = "default", key = "rope_type";
  if (base.parameters) {
    for (const char* nested : {"full_attention", "sliding_attention"})
      if (base.parameters->has(nested))
        base.parameters->unsupported(nested, "a rope for each kind of layer");
    if (!base.parameters->has(key)) key = "type";
    type = base.parameters->text_or(key, type);
    base.theta = base.parameters->number_or("rope_theta", base.theta);
    partial = base.parameters->number_or("partial_rotary_factor", partial);
    if (base.theta <= 1) base.parameters->fail("rope_theta", "a number above 1");
    if (partial <= 0 || partial > 1)
      base.parameters->fail("partial_rotary_factor", "a number above 0, at most 1");
    if (partial != defaults.partial_factor && defaults.partial_factor == 1 && !defaults.turns_part)
      base.parameters->unsupported("partial_rotary_factor",
                                   "a part of the features in this architecture");
  }
  TORCH_CHECK_VALUE(base.theta > 1, "[", config.where(),
                    "] the base of the rope: expected a number above 1, got ", base.theta, ".");
  base.dim = static_cast<int64_t>(static_cast<double>(defaults.head_dim) * partial);
  TORCH_CHECK_VALUE(base.dim > 0 && 2 * ((base.dim + 1) / 2) <= defaults.head_dim, "[",
                    config.where(), "] rope: expected 2 or more features that turn in pairs, got ",
                    base.dim, " of head_dim ", defaults.head_dim, ".");
  for (const Row& row : kRopes)
    if (type == row.name) return row.make(base);
  base.parameters->unsupported(
      key, "another type than default, linear, dynamic, llama3, yarn or longrope");
}

at::Tensor turn(const Rope& rope, const at::Tensor& x) {
  return std::visit(
      Overloaded{[&](const FixedRope& r) { return graph::rope(x, r.frequencies, r.scaling); },
                 [&](const LengthRope& r) {
                   return graph::rope_by_length(x, r.short_frequencies, r.long_frequencies,
                                                r.original_length, r.scaling);
                 },
                 [&](const graph::DynamicRope& r) { return graph::rope_dynamic(x, r); }},
      rope);
}

}  // namespace laconic::model
