#include "laconic/kernel/round_columns.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "laconic/kernel/composed_columns.h"
#ifdef LACONIC_CUDA
#include "laconic/kernel/cuda/columns_cuda.h"
#endif
#include "laconic/kernel/panels.h"
#include "laconic/kernel/parallel.h"
#include "laconic/kernel/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "laconic/kernel/round_columns.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h
#include "laconic/kernel/panel_multiply-inl.h"

#ifndef LACONIC_ROUND_COLUMNS_PANEL
#define LACONIC_ROUND_COLUMNS_PANEL
namespace laconic::kernel {
/// Raw pointers of one panel of RoundingColumns. What is absent is nullptr.
struct ColumnPanel {
  float* weight;
  const float* base;
  uint8_t* codes;
  const float* scale;
  const float* zero_point;
  const int64_t* group;
  float q_min, q_max;
  const float* levels;
  const float* thresholds;
  const int32_t* level_codes;
  const int32_t* choice;
  int64_t level_count;
  const float* shrink;
  float* positive;
  float* negative;
  const int64_t* tile;
  float input_low, input_high, limit;
};
}  // namespace laconic::kernel
#endif

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {

inline constexpr int64_t kRoundTogether =
    24;  // columns that wait in L1 while one of them is rounded

/// Element and bit pattern of numbers in units of the scale.
template <class D, class V = hn::Vec<D>>
struct Rounded {
  V element;
  hn::Vec<hn::Rebind<int32_t, D>> code;
};

template <class D>
HWY_INLINE Rounded<D> round_to_levels(D d, const ColumnPanel& panel, hn::Vec<D> x) {
  const hn::Rebind<int32_t, D> d_int;
  auto level = hn::Zero(d_int);
  for (int64_t k = 0; k + 1 < panel.level_count; ++k) {
    const auto above = hn::Gt(x, hn::Set(d, panel.thresholds[k]));
    level = hn::Sub(level, hn::VecFromMask(d_int, hn::RebindMask(d_int, above)));
  }
  return {hn::GatherIndex(d, panel.levels, level),
          hn::GatherIndex(d_int, panel.level_codes, level)};
}

template <class D>
HWY_INLINE Rounded<D> round_to_whole(D d, const ColumnPanel& panel, hn::Vec<D> x) {
  const auto low = hn::Set(d, panel.q_min), high = hn::Set(d, panel.q_max);
  const auto code = hn::Min(hn::Max(hn::Round(x), low), high);
  return {code, hn::NearestInt(code)};
}

/// Each number by the staircase of its own. @param choice  whose row of the tables
template <class D>
HWY_INLINE Rounded<D> round_to_chosen(D d, const ColumnPanel& panel, const int32_t* choice,
                                      hn::Vec<D> x) {
  const hn::Rebind<int32_t, D> d_int;
  const auto count = static_cast<int32_t>(panel.level_count);
  const auto table = hn::Load(d_int, choice);
  const auto first = hn::Mul(table, hn::Set(d_int, count - 1));
  auto level = hn::Mul(table, hn::Set(d_int, count));
  for (int32_t k = 0; k + 1 < count; ++k) {
    const auto threshold = hn::GatherIndex(d, panel.thresholds, hn::Add(first, hn::Set(d_int, k)));
    const auto above = hn::Gt(x, threshold);
    level = hn::Sub(level, hn::VecFromMask(d_int, hn::RebindMask(d_int, above)));
  }
  return {hn::GatherIndex(d, panel.levels, level),
          hn::GatherIndex(d_int, panel.level_codes, level)};
}

/// As round_to_whole, with what the tile's accumulator has left. With p and m the sums of the
/// positive and negative codes, the dot product lies between l p + h m and h p + l m.
template <class D>
HWY_INLINE Rounded<D> round_in_budget(D d, const ColumnPanel& panel, int64_t at, hn::Vec<D> x) {
  const auto low = hn::Set(d, panel.input_low), high = hn::Set(d, panel.input_high);
  const auto limit = hn::Set(d, panel.limit), zero = hn::Zero(d);
  const auto p = hn::Load(d, panel.positive + at), m = hn::Load(d, panel.negative + at);
  const auto above = hn::Sub(limit, hn::MulAdd(high, p, hn::Mul(low, m)));
  const auto below = hn::Add(limit, hn::MulAdd(low, p, hn::Mul(high, m)));
  // A positive code adds h x to the largest sum and l x to the smallest; a negative one the other
  // way round. An unsigned input (l = 0) leaves one of the two as it is.
  const auto never = hn::Set(d, 1e30f);
  const auto by_low = [&](hn::Vec<D> room) {
    return panel.input_low < 0 ? hn::Div(room, hn::Neg(low)) : never;
  };
  const auto most = hn::Floor(hn::Min(hn::Div(above, high), by_low(below)));
  const auto least = hn::Floor(hn::Min(hn::Div(below, high), by_low(above)));
  const auto size = hn::Max(hn::Sub(hn::Abs(x), hn::Load(d, panel.shrink + at)), zero);
  const auto wanted = hn::Round(hn::CopySign(size, x));
  const auto top = hn::Min(hn::Max(most, zero), hn::Set(d, panel.q_max));
  const auto bottom = hn::Max(hn::Neg(hn::Max(least, zero)), hn::Set(d, panel.q_min));
  const auto code = hn::Min(hn::Max(wanted, bottom), top);
  hn::Store(hn::Add(p, hn::Max(code, zero)), d, panel.positive + at);
  hn::Store(hn::Add(m, hn::Min(code, zero)), d, panel.negative + at);
  return {code, hn::NearestInt(code)};
}

/// Rounds one column: codes and w - q from the current value.
HWY_INLINE void round_column(const ColumnPanel& panel, int64_t column,
                             const float* HWY_RESTRICT current) {
  const hn::CappedTag<float, 16> d;
  const hn::Rebind<int32_t, decltype(d)> d_int;
  const hn::Rebind<uint8_t, decltype(d)> d_byte;
  constexpr int64_t kLanes = hn::MaxLanes(d);
  float* weight = panel.weight + column * kRows;
  uint8_t* codes = panel.codes + column * kRows;
  const float* scale = panel.scale + panel.group[column] * kRows;
  const float* zero_point =
      panel.zero_point == nullptr ? nullptr : panel.zero_point + panel.group[column] * kRows;
  const int32_t* choice =
      panel.choice == nullptr ? nullptr : panel.choice + panel.group[column] * kRows;
  for (int64_t row = 0; row < kRows; row += kLanes) {
    const auto s = hn::Load(d, scale + row);
    const auto z = zero_point == nullptr ? hn::Zero(d) : hn::Load(d, zero_point + row);
    const auto x = hn::Add(hn::Div(hn::Load(d, current + row), s), z);
    const auto q = choice != nullptr         ? round_to_chosen(d, panel, choice + row, x)
                   : panel.levels != nullptr ? round_to_levels(d, panel, x)
                   : panel.shrink != nullptr
                       ? round_in_budget(d, panel, panel.tile[column] * kRows + row, x)
                       : round_to_whole(d, panel, x);
    const auto value = hn::Mul(hn::Sub(q.element, z), s);
    hn::Store(hn::Sub(hn::Load(d, weight + row), value), d, weight + row);
    const auto low_byte = hn::And(q.code, hn::Set(d_int, 0xFF));
    hn::StoreU(hn::DemoteTo(d_byte, low_byte), d_byte, codes + row);
  }
}

/// to[r] += factor * from[r] for the 64 rows.
HWY_INLINE void add_column(float factor, const float* HWY_RESTRICT from, float* HWY_RESTRICT to) {
  const hn::CappedTag<float, 16> d;
  constexpr int64_t kLanes = hn::MaxLanes(d);
  const auto f = hn::Set(d, factor);
  for (int64_t row = 0; row < kRows; row += kLanes) {
    hn::Store(hn::MulAdd(hn::Load(d, from + row), f, hn::Load(d, to + row)), d, to + row);
  }
}

void current_panel(const ColumnPanel& panel, const float* feedback, float* current, int64_t begin,
                   int64_t end) {
  const int64_t width = end - begin;
  const float* weight = panel.weight;
  std::copy_n((panel.base == nullptr ? weight : panel.base) + begin * kRows, width * kRows,
              current);
  multiply_panel<false>(width, weight, feedback, width, begin, current);
}

void round_panel(const ColumnPanel& panel, const float* feedback, float* current, int64_t begin,
                 int64_t end) {
  const int64_t width = end - begin;
  for (int64_t first = begin; first < end; first += kRoundTogether) {
    const int64_t last = std::min(first + kRoundTogether, end);
    multiply_panel<false>(last - first, panel.weight + begin * kRows,
                          feedback + begin * width + (first - begin), width, first - begin,
                          current + (first - begin) * kRows);
    for (int64_t j = first; j < last; ++j) {
      round_column(panel, j, current + (j - begin) * kRows);
      for (int64_t i = j + 1; i < last; ++i) {
        add_column(feedback[j * width + (i - begin)], panel.weight + j * kRows,
                   current + (i - begin) * kRows);
      }
    }
  }
}

/// In: columns as current_columns gives them; out: see remaining_columns.
void remaining_panel(const ColumnPanel& panel, const float* feedback, float* current, int64_t begin,
                     int64_t end) {
  const int64_t width = end - begin;
  const float* original = panel.weight + begin * kRows;
  const float* factors = feedback + begin * width;
  for (int64_t i = 0; i < width * kRows; ++i) current[i] -= original[i];
  for (int64_t first = 0; first < width; first += kRoundTogether) {
    const int64_t last = std::min(first + kRoundTogether, width);
    multiply_panel<true>(last - first, current, factors + first, width, first,
                         current + first * kRows);
    for (int64_t j = first; j < last; ++j) {
      for (int64_t i = j + 1; i < last; ++i) {
        add_column(-factors[j * width + i], current + j * kRows, current + i * kRows);
      }
    }
  }
  for (int64_t i = 0; i < width * kRows; ++i) current[i] += original[i];
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace laconic::kernel {
namespace {

HWY_EXPORT(current_panel);
HWY_EXPORT(round_panel);
HWY_EXPORT(remaining_panel);

template <typename T>
const T* data_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<T>() : nullptr;
}

/// `from`, or nullptr, moved on to one panel of a tensor [P, count, 64].
template <typename T>
T* panel_of(T* from, int64_t panel, int64_t count) {
  return from == nullptr ? nullptr : from + panel * count * kPanelRows;
}

/// Everything but what a panel moves on.
ColumnPanel first_panel(const RoundingColumns& state) {
  const auto& [levels, thresholds, codes] = state.staircase;
  const TileBudget& budget = state.budget;
  const bool limited = budget.threshold.defined();
  return {state.weight.mutable_data_ptr<float>(),
          data_or_null<float>(state.base),
          state.codes.mutable_data_ptr<uint8_t>(),
          state.scale.const_data_ptr<float>(),
          data_or_null<float>(state.zero_point),
          state.group.const_data_ptr<int64_t>(),
          state.q_min,
          state.q_max,
          data_or_null<float>(levels),
          data_or_null<float>(thresholds),
          data_or_null<int32_t>(codes),
          data_or_null<int32_t>(state.choice),
          levels.defined() ? levels.size(-1) : 0,
          data_or_null<float>(budget.threshold),
          limited ? budget.positive.mutable_data_ptr<float>() : nullptr,
          limited ? budget.negative.mutable_data_ptr<float>() : nullptr,
          data_or_null<int64_t>(budget.tile),
          budget.input_low,
          budget.input_high,
          budget.limit};
}

/// Calls `work(panel, values of the panel)` for all panels of `current` [P, width, 64].
template <typename Work>
void for_each_panel(const RoundingColumns& state, at::Tensor& current, const Work& work) {
  const int64_t columns = state.weight.size(1), groups = state.scale.size(1);
  const int64_t tiles = state.budget.threshold.defined() ? state.budget.threshold.size(1) : 0;
  const ColumnPanel first = first_panel(state);
  float* values = current.mutable_data_ptr<float>();
  const int64_t width = current.size(1);
  parallel_for(0, state.weight.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      ColumnPanel panel = first;
      panel.weight = panel_of(first.weight, i, columns);
      panel.base = panel_of(first.base, i, columns);
      panel.codes = panel_of(first.codes, i, columns);
      panel.scale = panel_of(first.scale, i, groups);
      panel.zero_point = panel_of(first.zero_point, i, groups);
      panel.choice = panel_of(first.choice, i, groups);
      panel.shrink = panel_of(first.shrink, i, tiles);
      panel.positive = panel_of(first.positive, i, tiles);
      panel.negative = panel_of(first.negative, i, tiles);
      work(panel, values + i * width * kPanelRows);
    }
  });
}

}  // namespace

at::Tensor current_columns(const RoundingColumns& state, const at::Tensor& feedback, int64_t begin,
                           int64_t end) {
  if (!state.weight.is_cpu()) return composed::current_columns(state, feedback, begin, end);
  at::Tensor current =
      at::empty({state.weight.size(0), end - begin, kPanelRows}, state.weight.options());
  const float* factors = feedback.const_data_ptr<float>();
  for_each_panel(state, current, [&](const ColumnPanel& panel, float* values) {
    HWY_DYNAMIC_DISPATCH(current_panel)(panel, factors, values, begin, end);
  });
  return current;
}

at::Tensor remaining_columns(const RoundingColumns& state, const at::Tensor& feedback,
                             const at::Tensor& current, int64_t begin, int64_t end) {
  if (!state.weight.is_cpu())
    return composed::remaining_columns(state.weight, feedback, current, begin, end);
  at::Tensor remaining = current.clone();
  const float* factors = feedback.const_data_ptr<float>();
  for_each_panel(state, remaining, [&](const ColumnPanel& panel, float* values) {
    HWY_DYNAMIC_DISPATCH(remaining_panel)(panel, factors, values, begin, end);
  });
  return remaining;
}

void round_columns(RoundingColumns& state, const at::Tensor& feedback, at::Tensor& current,
                   int64_t begin, int64_t end) {
#ifdef LACONIC_CUDA
  if (!state.choice.defined() && cuda::knows_columns(state))
    return cuda::round_columns(state, feedback, current, begin, end);
#endif
  if (!state.weight.is_cpu()) return composed::round_columns(state, feedback, current, begin, end);
  const float* factors = feedback.const_data_ptr<float>();
  for_each_panel(state, current, [&](const ColumnPanel& panel, float* values) {
    HWY_DYNAMIC_DISPATCH(round_panel)(panel, factors, values, begin, end);
  });
}

}  // namespace laconic::kernel
#endif
