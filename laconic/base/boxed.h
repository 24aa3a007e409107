#pragma once

#include <memory>
#include <utility>

namespace laconic {

/// A value that may hold a value of the type that holds it: `T` may be incomplete where the box is
/// declared. Copies are deep to the eye: what is inside never changes, so copies share it. Compares
/// by what is inside; a box that was given nothing holds T{}.
template <typename T>
class Boxed {
 public:
  Boxed() = default;
  Boxed(T value) : value_(std::make_shared<const T>(std::move(value))) {}  // NOLINT: a T is one

  const T& operator*() const {
    static const T nothing{};
    return value_ ? *value_ : nothing;
  }
  const T* operator->() const { return &**this; }

  friend bool operator==(const Boxed& a, const Boxed& b) {
    return a.value_ == b.value_ || *a == *b;
  }

 private:
  std::shared_ptr<const T> value_;
};

}  // namespace laconic
