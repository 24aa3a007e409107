#include "laconic/kernel/scale_runs.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "laconic/kernel/parallel.h"
#include "laconic/kernel/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "laconic/kernel/scale_runs.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h
#include <hwy/highway.h>

#ifndef LACONIC_KERNEL_SCALE_RUNS_ONCE
#define LACONIC_KERNEL_SCALE_RUNS_ONCE
namespace laconic::kernel {

/// Scale and zero point of one run.
struct Affine {
  float scale, zero_point, q_min, q_max;
  bool has_zero_point;
};
}  // namespace laconic::kernel
#endif

HWY_BEFORE_NAMESPACE();
namespace laconic::kernel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
using V = hn::Vec<D>;

/// The code of x, as a float. Comparisons, not Min and Max: NaN stays NaN on every machine.
template <bool kZero, class D>
HWY_INLINE V<D> code_of(D d, V<D> x, const Affine& a) {
  auto code = hn::Div(x, hn::Set(d, a.scale));
  if constexpr (kZero) code = hn::Add(code, hn::Set(d, a.zero_point));
  code = hn::Round(code);
  const auto low = hn::Set(d, a.q_min), high = hn::Set(d, a.q_max);
  code = hn::IfThenElse(hn::Gt(code, high), high, code);
  return hn::IfThenElse(hn::Lt(code, low), low, code);
}

template <bool kZero, class D>
HWY_INLINE V<D> value_of(D d, V<D> code, const Affine& a) {
  if constexpr (kZero) code = hn::Sub(code, hn::Set(d, a.zero_point));
  return hn::Mul(code, hn::Set(d, a.scale));
}

/// Calls `body(d, i, count)` for whole vectors, then for one last one of fewer lanes.
template <class Body>
HWY_INLINE void for_each_vector(int64_t count, const Body& body) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) body(d, i, lanes);
  const hn::CappedTag<float, 1> one;
  for (; i < count; ++i) body(one, i, int64_t{1});
}

template <typename Code>
HWY_INLINE void codes_into(const float* HWY_RESTRICT x, int64_t count, const Affine& a,
                           Code* HWY_RESTRICT y) {
  for_each_vector(count, [&](auto d, int64_t i, int64_t) HWY_ATTR {
    const auto in = hn::LoadU(d, x + i);
    const auto code = a.has_zero_point ? code_of<true>(d, in, a) : code_of<false>(d, in, a);
    const hn::Rebind<int32_t, decltype(d)> wide;
    const hn::Rebind<Code, decltype(d)> narrow;
    hn::StoreU(hn::DemoteTo(narrow, hn::ConvertTo(wide, code)), narrow, y + i);
  });
}

void run_signed_codes(const float* x, int64_t count, const Affine& a, int8_t* y) {
  codes_into(x, count, a, y);
}
void run_unsigned_codes(const float* x, int64_t count, const Affine& a, uint8_t* y) {
  codes_into(x, count, a, y);
}

template <bool kZero, bool kWeighted>
double squared_error_of(const float* HWY_RESTRICT x, const float* HWY_RESTRICT importance,
                        int64_t count, const Affine& a) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto error = [&](auto tag, int64_t i) HWY_ATTR {
    const auto in = hn::LoadU(tag, x + i);
    const auto lost = hn::Sub(value_of<kZero>(tag, code_of<kZero>(tag, in, a), a), in);
    const auto square = hn::Mul(lost, lost);
    return kWeighted ? hn::Mul(square, hn::LoadU(tag, importance + i)) : square;
  };
  constexpr int64_t kPart = 1024;  // few enough terms for a float sum
  double sum = 0;
  int64_t i = 0;
  while (i + lanes <= count) {
    auto first = hn::Zero(d), second = hn::Zero(d);
    const int64_t end = std::min(count, i + kPart);
    for (; i + 2 * lanes <= end; i += 2 * lanes) {
      first = hn::Add(first, error(d, i));
      second = hn::Add(second, error(d, i + lanes));
    }
    for (; i + lanes <= end; i += lanes) first = hn::Add(first, error(d, i));
    sum += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, hn::Add(first, second))));
    if (end == count) break;
  }
  const hn::CappedTag<float, 1> one;
  for (; i < count; ++i) sum += static_cast<double>(hn::GetLane(error(one, i)));
  return sum;
}

double run_squared_error(const float* x, const float* importance, int64_t count, const Affine& a) {
  if (a.has_zero_point)
    return importance != nullptr ? squared_error_of<true, true>(x, importance, count, a)
                                 : squared_error_of<true, false>(x, importance, count, a);
  return importance != nullptr ? squared_error_of<false, true>(x, importance, count, a)
                               : squared_error_of<false, false>(x, importance, count, a);
}

}  // namespace laconic::kernel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace laconic::kernel {
namespace {

HWY_EXPORT(run_signed_codes);
HWY_EXPORT(run_unsigned_codes);
HWY_EXPORT(run_squared_error);

constexpr int64_t kPiece = ScaleRuns::kPiece;
constexpr int64_t kGrain = 65536;  // elements for a thread at least

/// A part of one run.
struct Piece {
  int64_t scale, begin, count;
  int64_t index;  ///< of the piece in its run
};

int64_t pieces_of_run(const ScaleRuns& runs) { return (runs.group + kPiece - 1) / kPiece; }

/// Calls `body` for the pieces of all runs, on several threads; the pieces are always the same.
void for_each_piece(const ScaleRuns& runs, const std::function<void(const Piece&)>& body) {
  const int64_t groups = runs.groups(), pieces = pieces_of_run(runs);
  const int64_t total = runs.rows * groups * pieces;
  const int64_t grain = std::max<int64_t>(1, kGrain / std::min(runs.group, kPiece));
  parallel_for(0, total, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t run = i / pieces, row = run / groups, group = run % groups;
      const int64_t first = group * runs.group + i % pieces * kPiece;
      const int64_t last = std::min(
          {(group + 1) * runs.group, runs.length, group * runs.group + (i % pieces + 1) * kPiece});
      if (first < last)
        body({runs.scale_of_run(run), row * runs.length + first, last - first, i % pieces});
    }
  });
}

/// Numbers of the codes, ready to be indexed.
class AffineTable {
 public:
  explicit AffineTable(const AffineCodes& codes)
      : scale_(codes.scale.const_data_ptr<float>()),
        zero_point_(codes.zero_point.defined() ? codes.zero_point.const_data_ptr<float>()
                                               : nullptr),
        q_min_(codes.q_min),
        q_max_(codes.q_max) {}
  Affine operator[](int64_t i) const {
    const bool has_zero_point = zero_point_ != nullptr;
    return {scale_[i], has_zero_point ? zero_point_[i] : 0, q_min_, q_max_, has_zero_point};
  }

 private:
  const float *scale_, *zero_point_;
  float q_min_, q_max_;
};

}  // namespace

at::Tensor codes_of_runs(const at::Tensor& x, const ScaleRuns& runs, const AffineCodes& codes) {
  const bool is_signed = codes.q_min < 0;
  const at::Tensor result = at::empty(
      x.sizes(), x.options().dtype(is_signed ? at::ScalarType::Char : at::ScalarType::Byte));
  const float* in = x.const_data_ptr<float>();
  const AffineTable table(codes);
  void* out = result.mutable_data_ptr();
  const auto run_signed = &HWY_DYNAMIC_DISPATCH(run_signed_codes);
  const auto run_unsigned = &HWY_DYNAMIC_DISPATCH(run_unsigned_codes);
  for_each_piece(runs, [&](const Piece& piece) {
    const float* from = in + piece.begin;
    if (is_signed)
      run_signed(from, piece.count, table[piece.scale], static_cast<int8_t*>(out) + piece.begin);
    else
      run_unsigned(from, piece.count, table[piece.scale], static_cast<uint8_t*>(out) + piece.begin);
  });
  return result;
}

at::Tensor squared_errors_of_runs(const at::Tensor& x, const at::Tensor& importance,
                                  const ScaleRuns& runs, const AffineCodes& codes) {
  const int64_t pieces = pieces_of_run(runs), scales = runs.scales(),
                candidates = codes.scale.size(0);
  std::vector<double> parts(static_cast<size_t>(candidates * scales * pieces), 0.0);
  const float* in = x.const_data_ptr<float>();
  const float* weights = importance.defined() ? importance.const_data_ptr<float>() : nullptr;
  const AffineTable table(codes);
  const auto run = &HWY_DYNAMIC_DISPATCH(run_squared_error);
  for_each_piece(runs, [&](const Piece& piece) {
    const float* weight = weights != nullptr ? weights + piece.begin : nullptr;
    for (int64_t i = 0; i < candidates; ++i) {
      const int64_t place = i * scales + piece.scale;
      parts[static_cast<size_t>(place * pieces + piece.index)] =
          run(in + piece.begin, weight, piece.count, table[place]);
    }
  });
  const at::Tensor result = at::empty({candidates, scales}, x.options());
  float* out = result.mutable_data_ptr<float>();
  for (int64_t place = 0; place < candidates * scales; ++place) {
    double sum = 0;
    for (int64_t i = 0; i < pieces; ++i) sum += parts[static_cast<size_t>(place * pieces + i)];
    out[place] = static_cast<float>(sum);
  }
  return result;
}

}  // namespace laconic::kernel
#endif  // HWY_ONCE
