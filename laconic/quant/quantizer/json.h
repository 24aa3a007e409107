#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "laconic/quant/quantizer/quant_parts.h"
#include "laconic/quant/quantizer/quant_spec.h"

namespace laconic {

/// The spec as a flat JSON object, every field written out.
nlohmann::json to_json(const QuantSpec& spec);

/// @param where  what the object is, for messages: "laconic.json: layers[3]: weight".
/// @param parts  the program's own, found by name like ours.
/// @throws c10::ValueError naming `where` and the key.
QuantSpec quant_spec_from_json(const nlohmann::json& json, const std::string& where,
                               const QuantParts& parts = {});

}  // namespace laconic
