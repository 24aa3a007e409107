#pragma once

#include <string>

#include "laconic/quant/quantizer/quant_parts.h"
#include "laconic/quant/quantizer/quant_spec.h"

namespace YAML {
class Node;
}

namespace laconic {

/// One flow mapping, every field written out: "{format: int, bits: 4, signed: true, ...}".
std::string to_yaml(const QuantSpec& spec);

/// A mapping of a quantizer's fields, those left out at their defaults: {bits: 4, granularity:
/// group, group_size: 128}.
/// @param where  the file's name: errors begin with "where:line:column:".
/// @param parts  the program's own, found by name like ours.
/// @throws c10::ValueError for an unknown key (with the nearest right word), a key given twice, or
/// a wrong value.
QuantSpec quant_spec_from_yaml(const std::string& text, const std::string& where,
                               const QuantParts& parts = {});
QuantSpec quant_spec_from_node(const YAML::Node& node, const std::string& where,
                               const QuantParts& parts = {});

}  // namespace laconic
