#pragma once

namespace laconic::testing {

/// Whether a sanitizer allocates in place of the system's heap: memory is then not what it is.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kIsInstrumented = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool kIsInstrumented = true;
#else
inline constexpr bool kIsInstrumented = false;
#endif
#else
inline constexpr bool kIsInstrumented = false;
#endif

}  // namespace laconic::testing
