#pragma once

#include <c10/core/ScalarType.h>

#include <string_view>
#include <variant>

namespace laconic {

/// Any positive float.
struct AnyFloat {
  static constexpr std::string_view kName = "float";
  bool operator==(const AnyFloat&) const = default;
};

/// Only scales that this dtype holds (float16, bfloat16): what a file stores is what was solved.
struct StoredAs {
  static constexpr std::string_view kName = "stored_as";
  c10::ScalarType dtype = c10::ScalarType::Half;
  bool operator==(const StoredAs&) const = default;
};

using Restriction = std::variant<AnyFloat, StoredAs>;

}  // namespace laconic
