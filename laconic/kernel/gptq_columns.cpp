#include "laconic/kernel/gptq_columns.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "laconic/kernel/panels.h"
#include "laconic/kernel/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "laconic/kernel/gptq_columns.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h
#include "laconic/kernel/panel_multiply-inl.h"

#ifndef LACONIC_GPTQ_COLUMNS_PANEL
#define LACONIC_GPTQ_COLUMNS_PANEL
namespace laconic::kernel {
/// Raw pointers of one panel of GptqColumns.
struct GptqPanel {
  float* weight;
  uint8_t* codes;
  const float* scale;
  const float* zero_point;  ///< nullptr: none
  const int64_t* group;
  float q_min, q_max;
};
}  // namespace laconic::kernel
#endif

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {

inline constexpr int64_t kRoundTogether =
    24;  // columns that wait in L1 while one of them is rounded

/// Rounds one column: codes and w - q from the current value.
HWY_INLINE void round_column(const GptqPanel& panel, int64_t column,
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
  const auto low = hn::Set(d, panel.q_min), high = hn::Set(d, panel.q_max);
  for (int64_t row = 0; row < kRows; row += kLanes) {
    const auto s = hn::Load(d, scale + row);
    const auto z = zero_point == nullptr ? hn::Zero(d) : hn::Load(d, zero_point + row);
    const auto x = hn::Add(hn::Div(hn::Load(d, current + row), s), z);
    const auto code = hn::Min(hn::Max(hn::Round(x), low), high);
    const auto value = hn::Mul(hn::Sub(code, z), s);
    hn::Store(hn::Sub(hn::Load(d, weight + row), value), d, weight + row);
    const auto whole = hn::And(hn::NearestInt(code), hn::Set(d_int, 0xFF));
    hn::StoreU(hn::DemoteTo(d_byte, whole), d_byte, codes + row);
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

void current_panel(const float* weight, const float* feedback, float* current, int64_t begin,
                   int64_t end) {
  const int64_t width = end - begin;
  std::copy_n(weight + begin * kRows, width * kRows, current);
  multiply_panel<false>(width, weight, feedback, width, begin, current);
}

void round_panel(const GptqPanel& panel, const float* feedback, float* current, int64_t begin,
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

/// In: columns as gptq_current gives them; out: the weights as the paper updates them (see
/// gptq_remaining).
void remaining_panel(const float* weight, const float* feedback, float* current, int64_t begin,
                     int64_t end) {
  const int64_t width = end - begin;
  const float* original = weight + begin * kRows;
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

}  // namespace

at::Tensor gptq_current(const GptqColumns& state, const at::Tensor& feedback, int64_t begin,
                        int64_t end) {
  const int64_t panels = state.weight.size(0), columns = state.weight.size(1), width = end - begin;
  at::Tensor current = at::empty({panels, width, kPanelRows}, state.weight.options());
  const float* weight = state.weight.const_data_ptr<float>();
  const float* factors = feedback.const_data_ptr<float>();
  float* result = current.mutable_data_ptr<float>();
  at::parallel_for(0, panels, 1, [&](int64_t first, int64_t last) {
    for (int64_t panel = first; panel < last; ++panel) {
      HWY_DYNAMIC_DISPATCH(current_panel)
      (weight + panel * columns * kPanelRows, factors, result + panel * width * kPanelRows, begin,
       end);
    }
  });
  return current;
}

at::Tensor gptq_remaining(const GptqColumns& state, const at::Tensor& feedback,
                          const at::Tensor& current, int64_t begin, int64_t end) {
  const int64_t panels = state.weight.size(0), columns = state.weight.size(1), width = end - begin;
  at::Tensor remaining = current.clone();
  const float* weight = state.weight.const_data_ptr<float>();
  const float* factors = feedback.const_data_ptr<float>();
  float* values = remaining.mutable_data_ptr<float>();
  at::parallel_for(0, panels, 1, [&](int64_t first, int64_t last) {
    for (int64_t panel = first; panel < last; ++panel) {
      HWY_DYNAMIC_DISPATCH(remaining_panel)
      (weight + panel * columns * kPanelRows, factors, values + panel * width * kPanelRows, begin,
       end);
    }
  });
  return remaining;
}

void gptq_round(GptqColumns& state, const at::Tensor& feedback, at::Tensor& current, int64_t begin,
                int64_t end) {
  const int64_t panels = state.weight.size(0), columns = state.weight.size(1), width = end - begin;
  const int64_t groups = state.scale.size(1);
  float* weight = state.weight.mutable_data_ptr<float>();
  uint8_t* codes = state.codes.mutable_data_ptr<uint8_t>();
  const float* scale = state.scale.const_data_ptr<float>();
  const float* zero_point =
      state.zero_point.defined() ? state.zero_point.const_data_ptr<float>() : nullptr;
  const int64_t* group = state.group.const_data_ptr<int64_t>();
  const float* factors = feedback.const_data_ptr<float>();
  float* values = current.mutable_data_ptr<float>();
  at::parallel_for(0, panels, 1, [&](int64_t first, int64_t last) {
    for (int64_t panel = first; panel < last; ++panel) {
      const int64_t rows = panel * columns * kPanelRows, scales = panel * groups * kPanelRows;
      const GptqPanel one{weight + rows,  codes + rows,
                          scale + scales, zero_point == nullptr ? nullptr : zero_point + scales,
                          group,          state.q_min,
                          state.q_max};
      HWY_DYNAMIC_DISPATCH(round_panel)
      (one, factors, values + panel * width * kPanelRows, begin, end);
    }
  });
}

}  // namespace laconic::kernel
#endif
