#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "laconic/quant/quantizer/quant_parts.h"
#include "laconic/quant/quantizer/quant_spec.h"

namespace laconic {

/// A spec as flat keys and scalars, the common ground of YAML and JSON: {"format", "int"}, {"bits",
/// "4"}, ... A list of numbers is one text, "[1, 2]"; the quantizer of a scale has its key and a
/// dot before its own keys: {"scale_quantizer.format", "e4m3"}.
using SpecFields = std::vector<std::pair<std::string, std::string>>;

/// What is wrong with one field; readers add where it stands.
struct FieldError : std::runtime_error {
  FieldError(std::string field, const std::string& message)
      : std::runtime_error(message), key(std::move(field)) {}
  std::string key;
};

/// Every field that has a meaning for the spec's parts, defaults included, in a fixed order.
SpecFields to_fields(const QuantSpec& spec);

/// The spec of some fields; those left out have their defaults.
/// @param parts  the program's own, found by name like ours.
/// @throws FieldError for an unknown key, a key that its part does not have, or a wrong value;
///         c10::ValueError when the parts contradict each other.
QuantSpec from_fields(const std::map<std::string, std::string>& fields,
                      const QuantParts& parts = {});

/// All keys that some spec may have.
std::vector<std::string> known_spec_keys(const QuantParts& parts = {});

}  // namespace laconic
