#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

namespace laconic {

/// One scale for all elements.
struct PerTensor {
  static constexpr std::string_view kName = "tensor";
  bool operator==(const PerTensor&) const = default;
};

/// One scale for each index of `axis` (negative counts from the end).
struct PerChannel {
  static constexpr std::string_view kName = "channel";
  int64_t axis = 0;
  bool operator==(const PerChannel&) const = default;
};

/// One scale for `group_size` consecutive elements of `axis`; `pad` lets the last group be shorter (filled with zeros).
struct PerGroup {
  static constexpr std::string_view kName = "group";
  int64_t axis = 1;
  int64_t group_size = 128;
  bool pad = false;
  bool operator==(const PerGroup&) const = default;
};

/// One scale for each vector along the last dimension: activations, found at run time.
struct PerToken {
  static constexpr std::string_view kName = "token";
  bool operator==(const PerToken&) const = default;
};

using Granularity = std::variant<PerTensor, PerChannel, PerGroup, PerToken>;

}  // namespace laconic
