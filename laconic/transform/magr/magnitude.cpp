#include "laconic/transform/magr/magnitude.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mv.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "laconic/kernel/parallel.h"

namespace laconic::transform {
namespace {

constexpr int64_t kRowsOfThread = 64;

/// The root t of sum max(|x| - t, 0) = radius, or 0 inside of the ball. Newton's method from below:
/// it ends after finitely many steps, for the sum is convex and made of lines. Only elements over a
/// bound of the root are looked at again.
/// @param over  memory to use.
template <typename T>
T find_threshold(std::span<const T> x, T radius, std::vector<T>& over) {
  T largest = 0, sum = 0;
  for (const T value : x) largest = std::max(largest, std::abs(value)), sum += std::abs(value);
  T threshold = std::max({largest - radius, (sum - radius) / static_cast<T>(x.size()), T(0)});
  over.clear();
  for (const T value : x)
    if (std::abs(value) > threshold) over.push_back(std::abs(value));
  while (!over.empty()) {
    const T all = std::accumulate(over.begin(), over.end(), T(0));
    const T next = (all - radius) / static_cast<T>(over.size());
    if (!(next > threshold)) break;
    threshold = next;
    std::erase_if(over, [&](T value) { return value <= threshold; });
  }
  return threshold;
}

template <typename T>
void project(std::span<const T> x, T* projected, T radius, std::vector<T>& over) {
  const T threshold = find_threshold(x, radius, over);
  for (size_t i = 0; i < x.size(); ++i)
    projected[i] = std::copysign(std::max(std::abs(x[i]) - threshold, T(0)), x[i]);
}

}  // namespace

at::Tensor power_iteration(const at::Tensor& matrix, const at::Tensor& start, int64_t steps) {
  auto vector = start;
  for (int64_t i = 0; i < steps; ++i) {
    const auto next = at::mv(matrix, vector), length = next.norm();
    if (length.item<double>() == 0) return length;
    vector = next / length;
  }
  return vector.dot(at::mv(matrix, vector)) / vector.dot(vector);
}

at::Tensor l1_ball_projection_by_sorting(const at::Tensor& x, double radius) {
  const auto sizes = x.abs();
  const auto sorted = std::get<0>(sizes.sort(-1, /*descending=*/true));
  const auto counts = at::arange(1, x.size(-1) + 1, x.options());
  // What the k largest elements alone would be lowered by: never more than what all need.
  const auto thresholds = (sorted.cumsum(-1) - radius) / counts;
  const auto threshold = thresholds.amax(-1, true).clamp_min(0);
  return (sizes - threshold).clamp_min(0).copysign(x);
}

at::Tensor l1_ball_projection(const at::Tensor& x, double radius) {
  if (!x.is_cpu()) return l1_ball_projection_by_sorting(x, radius);
  const auto rows = x.reshape({-1, x.size(-1)}).contiguous();
  auto projected = at::empty_like(rows);
  const int64_t size = rows.size(1);
  AT_DISPATCH_FLOATING_TYPES(rows.scalar_type(), "l1_ball_projection", [&] {
    const auto* from = rows.const_data_ptr<scalar_t>();
    auto* to = projected.mutable_data_ptr<scalar_t>();
    kernel::parallel_for(0, rows.size(0), kRowsOfThread, [&](int64_t begin, int64_t end) {
      std::vector<scalar_t> over;
      for (int64_t row = begin; row < end; ++row)
        project(std::span(from + row * size, size), to + row * size, static_cast<scalar_t>(radius),
                over);
    });
  });
  return projected.view(x.sizes());
}

at::Tensor reduce_magnitude(const at::Tensor& weight, const at::Tensor& hessian, int64_t run,
                            const MagnitudeReduction& options) {
  const int64_t inputs = weight.size(1);
  const auto start = at::full({inputs}, 1.0, hessian.options());
  const double largest =
      power_iteration(hessian, start, options.power_iteration_steps).item<double>();
  if (largest <= 0) return weight;
  const double step = 1 / largest;
  const double pull = options.alpha * largest / hessian.abs().sum(0).max().item<double>();
  auto reduced = weight;
  for (int64_t i = 0; i < options.steps; ++i) {
    const auto moved = reduced - (reduced - weight).matmul(hessian) * step;
    // Moreau: the proximal point of the largest magnitude is what a projection on the ball of the
    // dual norm leaves.
    const auto groups = moved.unflatten(1, {inputs / run, run});
    reduced = (groups - l1_ball_projection(groups / pull, 1) * pull).flatten(1);
  }
  return reduced;
}

}  // namespace laconic::transform
