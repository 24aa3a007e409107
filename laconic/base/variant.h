#pragma once

#include <cstddef>
#include <utility>
#include <variant>

namespace laconic {

/// Calls `function` once with a default-constructed value of every alternative of `Variant`, in
/// order. `Custom` alternatives are included; a caller that wants only built-in parts filters by
/// type.
template <typename Variant, typename Function>
void for_each_alternative(Function&& function) {
  [&]<std::size_t... kIndex>(std::index_sequence<kIndex...>) {
    (function(std::variant_alternative_t<kIndex, Variant>{}), ...);
  }
  (std::make_index_sequence<std::variant_size_v<Variant>>{});
}

/// Joins lambdas into one visitor: `std::visit(Overloaded{[](int) {...}, [](double) {...}}, v)`.
template <typename... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};
// Compilers before clang 17 do not deduce an aggregate's arguments by themselves.
template <typename... Functions>
Overloaded(Functions...) -> Overloaded<Functions...>;

}  // namespace laconic
