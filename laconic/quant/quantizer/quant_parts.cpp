#include "laconic/quant/quantizer/quant_parts.h"

#include <algorithm>
#include <set>

#include "laconic/quant/quantizer/fields.h"

namespace laconic {
namespace {

template <typename Variant>
void check_kind(const QuantParts& parts, std::vector<std::string>& keys) {
  std::vector<std::string> numbers;
  std::set<std::string> names;
  for_each_part<Variant>([&](auto kind) { names.insert(part_name(kind)); });
  if constexpr (std::is_same_v<Variant, Format>) {
    for (const auto& [name, format] : named_formats()) names.insert(name);
  }
  for (const auto& part : parts_of<Variant>(parts)) {
    check_custom(part);
    TORCH_CHECK_VALUE(names.insert(part.name).second, "[parts] \"", part.name,
                      "\": another part of its kind has this name. Choose a name of its own.");
    for (const auto& [name, unused] : part.parameters) {
      TORCH_CHECK_VALUE(std::find(keys.begin(), keys.end(), name) == keys.end(), "[parts] \"",
                        part.name, "\": its number \"", name,
                        "\" has the name of another key of a spec. Choose another name.");
      numbers.push_back(name);
    }
  }
  keys.insert(keys.end(), numbers.begin(), numbers.end());
}

}  // namespace

void check(const QuantParts& parts) {
  auto keys = known_spec_keys();
  check_kind<Format>(parts, keys);
  check_kind<Granularity>(parts, keys);
  check_kind<Scale>(parts, keys);
  check_kind<Statistic>(parts, keys);
  check_kind<Restriction>(parts, keys);
  check_kind<ZeroPoint>(parts, keys);
  check_kind<Rounding>(parts, keys);
  check_kind<Gradient>(parts, keys);
}

}  // namespace laconic
