#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "laconic/quant/quantizer/search.h"

namespace laconic {
namespace {

using Counts = std::vector<double>;

struct Histogram {
  double absmax;
  Counts counts;  ///< of equal bins over [-absmax, absmax]
};

Histogram histogram_of(const float* row, int64_t length, int64_t bins) {
  Histogram result{0, Counts(static_cast<size_t>(bins), 0.0)};
  for (int64_t i = 0; i < length; ++i)
    result.absmax = std::max(result.absmax, static_cast<double>(std::abs(row[i])));
  if (result.absmax == 0) return result;
  for (int64_t i = 0; i < length; ++i) {
    const double place = (static_cast<double>(row[i]) + result.absmax) / (2 * result.absmax);
    const auto bin = static_cast<int64_t>(place * static_cast<double>(bins));
    result.counts[static_cast<size_t>(std::clamp<int64_t>(bin, 0, bins - 1))] += 1;
  }
  return result;
}

// The logarithms of exp(count) / sum exp(count); empty bins count as `smoothing`.
Counts log_distribution(Counts counts, double smoothing) {
  for (double& count : counts) count += count == 0 ? smoothing : 0;
  const double top = *std::max_element(counts.begin(), counts.end());
  double sum = 0;
  for (const double count : counts) sum += std::exp(count - top);
  for (double& count : counts) count -= top + std::log(sum);
  return counts;
}

// `inside` as so many codes see it: every occupied bin of a code has the mean of the code's bins.
Counts as_codes(const Counts& inside, int64_t codes) {
  const auto size = static_cast<int64_t>(inside.size()), merged = size / codes;
  Counts result(inside.size(), 0.0);
  for (int64_t code = 0; code < codes; ++code) {
    const int64_t begin = code * merged, end = code + 1 == codes ? size : begin + merged;
    // The last bin is summed but gets no share of its own.
    const int64_t filled = code + 1 == codes ? size - 1 : end;
    double sum = 0, occupied = 0;
    for (int64_t i = begin; i < end; ++i) sum += inside[static_cast<size_t>(i)];
    for (int64_t i = begin; i < filled; ++i) occupied += inside[static_cast<size_t>(i)] != 0;
    for (int64_t i = begin; i < filled; ++i) {
      const auto place = static_cast<size_t>(i);
      if (inside[place] != 0) result[place] = sum / occupied;
    }
  }
  return result;
}

// Of clipping the histogram to its middle 2 * reach + 1 bins.
double divergence_at(const Counts& counts, int64_t reach, int64_t codes, double smoothing) {
  const auto middle = static_cast<int64_t>(counts.size()) / 2;
  const auto begin = counts.begin() + (middle - reach), end = counts.begin() + (middle + reach + 1);
  const Counts inside(begin, end), coded = as_codes(inside, codes);
  if (std::all_of(coded.begin(), coded.end(), [](double count) { return count == 0; }))
    return std::numeric_limits<double>::infinity();
  Counts clipped = inside;
  for (auto i = counts.begin(); i != begin; ++i) clipped.front() += *i;
  for (auto i = end; i != counts.end(); ++i) clipped.back() += *i;
  const Counts p = log_distribution(clipped, smoothing), q = log_distribution(coded, smoothing);
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum += std::exp(p[i]) * (p[i] - q[i]);
  return sum;
}

double best_threshold(const KlDivergence& kind, int64_t codes, const float* row, int64_t length) {
  const Histogram histogram = histogram_of(row, length, kind.bins);
  const int64_t middle = kind.bins / 2;
  double best = std::numeric_limits<double>::infinity();
  int64_t best_reach = middle;
  for (int64_t reach = codes / 2; reach <= middle; ++reach) {
    const double found = divergence_at(histogram.counts, reach, codes, kind.smoothing);
    if (found < best) best = found, best_reach = reach;
  }
  const double bin = 2 * histogram.absmax / static_cast<double>(kind.bins);
  return bin * static_cast<double>(middle + best_reach + 1) - histogram.absmax;
}

}  // namespace

at::Tensor search_divergence(const KlDivergence& kind, const QuantSpec& spec,
                             const SearchProblem& problem) {
  const auto& format = std::get<IntFormat>(spec.format);
  const int64_t codes = code_range(IntFormat{format.bit_width, format.is_signed, false}).q_max;
  TORCH_CHECK_VALUE(codes <= kind.bins, "[KlDivergence] bins ", kind.bins,
                    " contradict the format's ", codes,
                    " codes on one side: expected at least as many. Choose more bins.");
  const auto rows = problem.rows.detach().to(at::kCPU, c10::ScalarType::Float).contiguous();
  const auto result = at::empty({rows.size(0)}, rows.options());
  for (int64_t i = 0; i < rows.size(0); ++i) {
    const float* row = rows.const_data_ptr<float>() + i * rows.size(1);
    result.mutable_data_ptr<float>()[i] =
        static_cast<float>(best_threshold(kind, std::max<int64_t>(1, codes), row, rows.size(1)));
  }
  return result.to(problem.rows.device(), problem.rows.scalar_type());
}

}  // namespace laconic
