#include <algorithm>
#include <cmath>
#include <limits>

#include "laconic/kernel/half_quadratic/shifts.h"
#include "laconic/kernel/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "laconic/kernel/half_quadratic/row_shifts.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#ifndef LACONIC_KERNEL_HALF_QUADRATIC_ROW_SHIFTS_ONCE
#define LACONIC_KERNEL_HALF_QUADRATIC_ROW_SHIFTS_ONCE
namespace laconic::kernel {

/// What an edge is compared with, of several codes.
template <class Vector>
struct EdgeCodes {
  Vector code, size, value, power, reach;  ///< reach: as far as errors go
};

struct ShiftedCodes {
  const RowCodes& codes;
  const float* powers;  ///< of the sizes of codes
};

/// Both edges, and the errors that shrink to them under the code 1.
struct ShrunkEdges {
  EdgePair edges;
  std::array<float, 2> power;  ///< (size * beta)^(1 / (p - 1))
};

}  // namespace laconic::kernel
#endif

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using CodeLanes = hn::ScalableTag<float>;
using CodeVector = hn::Vec<CodeLanes>;
using PlaceLanes = hn::RebindToSigned<CodeLanes>;

/// Finds those edges of codes from `code` on that are asked for. @returns whether one was
/// elsewhere.
HWY_INLINE bool find_edges(const SortedRow& row, const EdgePlaces& places, int64_t code,
                           hn::Mask<CodeLanes> asked, CodeVector edges) {
  const CodeLanes d;
  const PlaceLanes whole;
  auto last = hn::LoadU(d, places.last + code), following = hn::LoadU(d, places.following + code);
  const auto is_there = [&]() HWY_ATTR {
    return hn::Or(hn::And(hn::Lt(last, edges), hn::Ge(following, edges)), hn::Not(asked));
  };
  if (hn::AllTrue(d, is_there())) return false;
  // Most pass one number: a step of all, then those that go farther one by one.
  const auto up = hn::And(hn::Lt(following, edges), asked),
             down = hn::And(hn::Not(hn::Lt(last, edges)), asked);
  const auto step = hn::Sub(hn::VecFromMask(whole, hn::RebindMask(whole, down)),
                            hn::VecFromMask(whole, hn::RebindMask(whole, up)));
  const auto place = hn::Max(hn::Add(hn::LoadU(whole, places.place + code), step), hn::Zero(whole));
  last = hn::GatherIndex(d, row.x - 1, place), following = hn::GatherIndex(d, row.x, place);
  hn::StoreU(place, whole, places.place + code);
  hn::StoreU(last, d, places.last + code);
  hn::StoreU(following, d, places.following + code);
  const auto is_found = is_there();
  if (hn::AllTrue(d, is_found)) return true;
  HWY_ALIGN float edge[hn::MaxLanes(d)];
  hn::Store(edges, d, edge);
  uint8_t bits[8] = {};
  hn::StoreMaskBits(d, hn::Not(is_found), bits);
  for (uint32_t left = bits[0] | static_cast<uint32_t>(bits[1]) << 8; left != 0; left &= left - 1) {
    const auto lane = static_cast<int64_t>(hwy::Num0BitsBelowLS1Bit_Nonzero32(left));
    places.move(row, code + lane, edge[lane]);
  }
  return true;
}

HWY_INLINE CodeVector codes_from(const RowCodes& codes, int64_t first) {
  return hn::Iota(CodeLanes(), codes.low + static_cast<float>(first));
}

/// @returns whether numbers have other codes than before.
bool find_codes(const SortedRow& row, const RowCodes& codes, const CodePlaces& places) {
  const CodeLanes d;
  const auto count = static_cast<int64_t>(codes.high - codes.low) + 1;
  const auto scale = hn::Set(d, codes.scale);
  const auto infinity = hn::Set(d, std::numeric_limits<float>::infinity());
  bool moved = false;
  for (int64_t i = 0; i < count; i += static_cast<int64_t>(hn::Lanes(d))) {
    const auto code = codes_from(codes, i);
    const auto is_inner = hn::Lt(code, hn::Set(d, codes.high));
    const auto is_code = hn::Le(code, hn::Set(d, codes.high));
    const auto boundary = hn::Mul(hn::Add(code, hn::Set(d, 0.5F)), scale);
    moved |= find_edges(row, places.end, i, is_code, hn::IfThenElse(is_inner, boundary, infinity));
    moved |= find_edges(row, places.middle, i, is_code, hn::Mul(code, scale));
  }
  return moved;
}

/// How many numbers of the codes from `first` on shift as far as the edge.
HWY_INLINE hn::Vec<PlaceLanes> shifted(const SortedRow& row, const CodePlaces& places,
                                       int64_t first, const EdgeCodes<CodeVector>& codes,
                                       const ShrunkEdges& shrunk, size_t which) {
  const CodeLanes d;
  const PlaceLanes whole;
  const ShiftEdge& edge = shrunk.edges[which];
  // An error this far from zero shifts as far as the edge, and so does the larger one that shrinks
  // to it. What is not reached is not looked for: it lies at an end of the code's numbers.
  const auto near = hn::Mul(codes.size, hn::Set(d, edge.size));
  const auto far = hn::Max(near, hn::Mul(codes.power, hn::Set(d, shrunk.power[which])));
  const auto is_near = hn::Lt(near, codes.reach), is_far = hn::Lt(far, codes.reach);
  const auto sign =
      hn::Xor(hn::And(codes.code, hn::Set(d, -0.0F)), hn::Set(d, edge.is_negative ? -0.0F : 0.0F));
  find_edges(row, places.near[which], first, is_near, hn::Add(codes.value, hn::Xor(near, sign)));
  find_edges(row, places.far[which], first, is_far, hn::Add(codes.value, hn::Xor(far, sign)));
  const auto begin = hn::LoadU(whole, places.end.place + first - 1),
             end = hn::LoadU(whole, places.end.place + first);
  const auto inside = [&](const EdgePlaces& of) HWY_ATTR {
    return hn::Min(hn::Max(hn::LoadU(whole, of.place + first), begin), end);
  };
  const auto last = hn::IfThenElse(hn::Lt(hn::BitCast(whole, sign), hn::Zero(whole)), begin, end);
  const auto limit = hn::IfThenElse(hn::RebindMask(whole, is_far), inside(places.far[which]), last);
  return hn::IfThenElseZero(hn::RebindMask(whole, is_near),
                            hn::Abs(hn::Sub(inside(places.near[which]), limit)));
}

HWY_INLINE ShrunkEdges shrunk_edges(const EdgePair& edges, const Shrinkage& by) {
  const hn::CappedTag<float, 4> d;
  constexpr float kMost = 1e30F, kLeast = 1e-37F;  // times 0 it is 0; of 0 there is no logarithm
  HWY_ALIGN float numbers[4] = {1.0F, 1.0F, 1.0F, 1.0F};
  for (size_t i = 0; i < edges.size(); ++i)
    numbers[i] = std::max(static_cast<float>(edges[i].size * by.beta), kLeast);
  for (size_t i = 0; i < edges.size(); i += hn::Lanes(d)) {
    const auto exponent = hn::Mul(hn::Log(d, hn::Load(d, numbers + i)), hn::Set(d, 1 / (by.p - 1)));
    hn::Store(hn::Exp(d, hn::Min(exponent, hn::Set(d, std::log(kMost)))), d, numbers + i);
  }
  return {edges, {numbers[0], numbers[1]}};
}

CountPair count_above(const SortedRow& row, const ShiftedCodes& shifted_codes,
                      const CodePlaces& places, const EdgePair& pair, const Shrinkage& by) {
  const RowCodes& codes = shifted_codes.codes;
  const float* powers = shifted_codes.powers;
  const ShrunkEdges edges = shrunk_edges(pair, by);
  const CodeLanes d;
  const PlaceLanes whole;
  const auto count = static_cast<int64_t>(codes.high - codes.low) + 1;
  // No error is larger: of the codes at the ends, and of the others.
  const auto most = hn::Set(d, row.x[row.count - 1] - row.x[0] +
                                   (std::abs(codes.high) + std::abs(codes.low)) * codes.scale),
             half = hn::Set(d, 0.5F * codes.scale);
  const auto low = hn::Set(d, codes.low), high = hn::Set(d, codes.high);
  auto first = hn::Zero(whole), second = first;
  for (int64_t i = 0; i < count; i += static_cast<int64_t>(hn::Lanes(d))) {
    const auto code = codes_from(codes, i);
    const auto is_inner = hn::And(hn::Lt(code, high), hn::Gt(code, low));
    const auto reach = hn::IfThenElseZero(hn::Le(code, high), hn::IfThenElse(is_inner, half, most));
    const EdgeCodes<CodeVector> all{code, hn::Abs(code), hn::Mul(code, hn::Set(d, codes.scale)),
                                    hn::LoadU(d, powers + i), reach};
    first = hn::Add(first, shifted(row, places, i, all, edges, 0));
    second = hn::Add(second, shifted(row, places, i, all, edges, 1));
  }
  return {hn::GetLane(hn::SumOfLanes(whole, first)), hn::GetLane(hn::SumOfLanes(whole, second))};
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace laconic::kernel {
namespace {

HWY_EXPORT(find_codes);
HWY_EXPORT(count_above);

}  // namespace

RowPlaces::RowPlaces(int64_t rows, int64_t codes)
    : room_(EdgePlaces::room(codes)),
      places_(static_cast<size_t>(rows * kKinds * room_), 0),
      // Numbers that no edge lies between: all are looked for at first.
      beside_(2 * places_.size(), std::numeric_limits<float>::infinity()) {}

CodePlaces RowPlaces::operator[](int64_t row) {
  int64_t kind = row * kKinds;
  const auto next = [&] {
    const int64_t at = kind++ * room_ + EdgePlaces::kVector;
    float* beside = beside_.data() + at;
    return EdgePlaces{places_.data() + at, beside, beside + static_cast<int64_t>(places_.size())};
  };
  return {next(), next(), {next(), next()}, {next(), next()}};
}

CodePowers::CodePowers(float most, float p)
    : most_(most), powers_(static_cast<size_t>(2 * most) + 1 + EdgePlaces::kVector, 0.0F) {
  for (float code = -most; code <= most; ++code)
    if (code != 0)
      powers_[static_cast<size_t>(code + most)] = static_cast<float>(
          std::pow(static_cast<double>(std::abs(code)), 1 / (static_cast<double>(p) - 1)));
}

void RowShifts::set_codes(const RowCodes& codes) {
  const bool alike = codes.low == codes_.low && codes.high == codes_.high;
  codes_ = codes;
  const bool moved = HWY_DYNAMIC_DISPATCH(find_codes)(row_, codes_, places_);
  if (moved || !alike) add_up();
  error_ = 2 * sums_ + products_ * static_cast<double>(codes_.scale);
}

void RowShifts::add_up() {
  usable_ = row_.count;
  int64_t begin = 0;
  sums_ = -row_.sums[row_.count] / 2, products_ = 0;
  const auto count = static_cast<int64_t>(codes_.high - codes_.low) + 1;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t end = places_.end.place[i], middle = places_.middle.place[i];
    const float code = codes_.low + static_cast<float>(i);
    sums_ += row_.sums[end] - row_.sums[middle];
    products_ += static_cast<double>(code) * static_cast<double>(2 * middle - begin - end);
    if (code == 0) usable_ -= end - begin;
    begin = end;
  }
}

CountPair RowShifts::above(const EdgePair& edges, const Shrinkage& by) const {
  CountPair counts = HWY_DYNAMIC_DISPATCH(count_above)(row_, {codes_, powers_->at(codes_.low)},
                                                       places_, edges, by);
  for (size_t i = 0; i < counts.size(); ++i)
    if (edges[i].is_negative) counts[i] = usable_ - counts[i];
  return counts;
}

}  // namespace laconic::kernel
#endif  // HWY_ONCE
