// What a job is, as arguments of templates. Included once for each instruction set (see Highway's
// foreach_target.h), so the guard below is a toggle and not #pragma once.
#if defined(LACONIC_KINDS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LACONIC_KINDS_INL_H
#undef LACONIC_KINDS_INL_H
#else
#define LACONIC_KINDS_INL_H
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "laconic/kernel/fused/elements-inl.h"
#include "laconic/kernel/fused/job.h"
#include "laconic/kernel/fused/vector_ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <typename T, bool kZero, class Job, class Body>
HWY_INLINE auto for_grid(const Job& job, const Body& body) {
  return job.grid.kind == GridKind::kInteger
             ? body.template operator()<T, GridKind::kInteger, kZero>()
             : body.template operator()<T, GridKind::kMinifloat, kZero>();
}
template <class Job, class Body>
HWY_INLINE auto for_type(const Job& job, bool has_zero, const Body& body) {
  if (job.type == ElementType::kFloat)
    return has_zero ? for_grid<float, true>(job, body) : for_grid<float, false>(job, body);
  return has_zero ? for_grid<uint16_t, true>(job, body) : for_grid<uint16_t, false>(job, body);
}
/// Calls `body.operator()<T, kGrid, kZero>()` for what the job is.
template <class Body>
HWY_INLINE auto for_kind(const FusedJob& job, const Body& body) {
  const bool has_zero = job.numbers.zero_point != nullptr || job.rule.zero_point != ZeroRule::kNone;
  return for_type(job, has_zero, body);
}
template <class Body>
HWY_INLINE auto for_kind(const BackwardJob& job, const Body& body) {
  return for_type(job, job.zero_point != nullptr, body);
}

/// Whether bfloat16 has all elements, and so the values under a scale that is a power of two.
template <GridKind kGrid>
HWY_INLINE bool has_few_digits(const ElementGrid& grid) {
  if (kGrid == GridKind::kInteger) return grid.low >= -256 && grid.high <= 256;
  return grid.relative_step >= 0x1p-7F;
}

/// Calls `body.operator()<O, kStore>()` with the quickest operations on elements T whose scales are
/// divided by in this way; kAs says what is known of the values.
template <typename T, GridKind kGrid, bool kZero, StoreAs kAs, class Body>
HWY_INLINE void for_division(const ElementGrid& grid, DivideBy by, const Body& body) {
  constexpr bool kFinite = kAs == StoreAs::kFinite;
  if constexpr (kFinite && !kZero) {
    if (by == DivideBy::kPower && has_few_digits<kGrid>(grid))
      return body.template operator()<VectorOps<Wide, DivideBy::kPower, true>, StoreAs::kExact>();
  }
  constexpr DivideBy kQuick = sizeof(T) == 2 ? DivideBy::kShort : DivideBy::kQuick;
  if (by != DivideBy::kDivision && HWY_NATIVE_FMA)
    return body.template operator()<VectorOps<Wide, kQuick, kFinite>, kAs>();
  body.template operator()<VectorOps<Wide, DivideBy::kDivision, kFinite>, kAs>();
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LACONIC_KINDS_INL_H
