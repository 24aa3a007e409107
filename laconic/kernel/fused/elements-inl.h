// How the loops read and write elements, as floats. Included once for each instruction set (see
// Highway's foreach_target.h), so the guard below is a toggle and not #pragma once.
#if defined(LACONIC_ELEMENTS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LACONIC_ELEMENTS_INL_H
#undef LACONIC_ELEMENTS_INL_H
#else
#define LACONIC_ELEMENTS_INL_H
#endif

#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Wide = hn::ScalableTag<float>;
using One = hn::CappedTag<float, 1>;

/// Two vectors of floats that are worked on together, in an order of their own.
template <class D>
struct Pair {
  hn::Vec<D> first, second;
};

/// How numbers become bfloat16.
enum class StoreAs {
  kAny,     ///< NaN stays NaN
  kFinite,  ///< no NaN
  kExact,   ///< all are bfloat16 already
};

// Loads and stores of both types, as floats.
template <class D>
HWY_INLINE hn::Vec<D> load(D d, const float* from) {
  return hn::LoadU(d, from);
}
template <class D>
HWY_INLINE hn::Vec<D> load(D d, const uint16_t* from) {  // bfloat16
  const hn::Rebind<uint16_t, D> narrow;
  const hn::RebindToUnsigned<D> wide;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(wide, hn::LoadU(narrow, from))));
}
template <class D>
HWY_INLINE Pair<D> load_pair(D d, const float* from) {
  return {hn::LoadU(d, from), hn::LoadU(d, from + hn::Lanes(d))};
}
template <class D>
HWY_INLINE Pair<D> load_pair(D d, const uint16_t* from) {
  const hn::RebindToUnsigned<D> wide;
  const hn::Repartition<uint16_t, D> narrow;
  const auto both = hn::BitCast(wide, hn::LoadU(narrow, from));
  return {hn::BitCast(d, hn::ShiftLeft<16>(both)),
          hn::BitCast(d, hn::And(both, hn::Set(wide, 0xFFFF0000)))};
}
/// The bits of a number whose upper half is to be rounded; NaN as one that survives that.
template <StoreAs kAs, class D>
HWY_INLINE hn::Vec<hn::RebindToUnsigned<D>> bits_to_round(D, hn::Vec<D> x) {
  const hn::RebindToUnsigned<D> wide;
  const auto bits = hn::BitCast(wide, x);
  if constexpr (kAs != StoreAs::kAny) return bits;
  return hn::IfThenElse(hn::RebindMask(wide, hn::Eq(x, x)), bits, hn::Set(wide, 0x7FC00000));
}

// Nearest bfloat16, half to even.
template <StoreAs kAs = StoreAs::kAny, class D>
HWY_INLINE void store(D d, hn::Vec<D> x, float* to, bool streams) {
  streams ? hn::Stream(x, d, to) : hn::StoreU(x, d, to);
}
template <StoreAs kAs = StoreAs::kAny, class D>
HWY_INLINE void store(D d, hn::Vec<D> x, uint16_t* to, bool streams) {
  const hn::RebindToUnsigned<D> wide;
  const hn::RebindToSigned<D> whole;
  const hn::Rebind<uint16_t, D> narrow;
  const auto bits = bits_to_round<kAs>(d, x);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(wide, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(wide, 0x7FFF))));
  const auto small = hn::DemoteTo(narrow, hn::BitCast(whole, rounded));
  streams ? hn::Stream(small, narrow, to) : hn::StoreU(small, narrow, to);
}
template <StoreAs kAs, class D>
HWY_INLINE void store_pair(D d, Pair<D> x, float* to, bool streams) {
  store(d, x.first, to, streams);
  store(d, x.second, to + hn::Lanes(d), streams);
}
template <StoreAs kAs, class D>
HWY_INLINE void store_pair(D d, Pair<D> x, uint16_t* to, bool streams) {
  const hn::RebindToUnsigned<D> wide;
  const hn::Repartition<uint16_t, D> narrow;
  const auto first = bits_to_round<kAs>(d, x.first), second = bits_to_round<kAs>(d, x.second);
  const auto upper_half = hn::Set(wide, 0xFFFF0000);
  auto both = hn::BitCast(narrow, hn::Or(hn::And(second, upper_half), hn::ShiftRight<16>(first)));
  if constexpr (kAs != StoreAs::kExact) {
    const auto lower =
        hn::BitCast(narrow, hn::Or(hn::ShiftLeft<16>(second), hn::AndNot(upper_half, first)));
    // (lower + 0x7FFF + odd) / 2: its uppermost bit is what is carried to the upper half.
    const auto odd = hn::And(both, hn::Set(narrow, 1));
    const auto carry = hn::AverageRound(lower, hn::Or(odd, hn::Set(narrow, 0x7FFE)));
    both = hn::Add(both, hn::ShiftRight<15>(carry));
  }
  streams ? hn::Stream(both, narrow, to) : hn::StoreU(both, narrow, to);
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LACONIC_ELEMENTS_INL_H
