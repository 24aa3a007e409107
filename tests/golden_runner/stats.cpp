#include <ATen/ATen.h>

#include "areas.h"
#include "laconic/quant/quantizer/search.h"
#include "options.h"

namespace laconic::golden {
namespace {

std::string read_stat(Options& options) {
  return options.word(
      "stat",
      {"absmax", "signed_absmax", "min_max_interval", "abs_average", "absmax_average", "absmax_l2",
       "mean_sigma_std", "abs_percentile", "negative_min_or_zero", "negative_percentile_or_zero",
       "percentile_interval", "l1_norm", "l2_norm", "mean_learned_sigma_std", "kl_threshold"});
}

Statistic statistic_named(const std::string& word, Options& options) {
  if (word == "absmax") return AbsMax{};
  if (word == "signed_absmax") return SignedAbsMax{};
  if (word == "min_max_interval") return MinMax{.include_zero = false};
  if (word == "abs_average") return AbsAverage{};
  if (word == "absmax_average") return AbsMaxAverage{};
  if (word == "absmax_l2") return AbsMaxL2{};
  if (word == "mean_sigma_std") return MeanSigma{options.number("sigma", 0, 1e6)};
  if (word == "abs_percentile") return Percentile{options.number("high_percentile", 0, 100)};
  if (word == "percentile_interval") {
    return PercentileInterval{options.number("low_percentile", 0, 100),
                              options.number("high_percentile", 0, 100)};
  }
  if (word == "l1_norm") return L1Norm{};
  TORCH_CHECK_VALUE(word == "l2_norm", "option stat: ", word, " is no statistic of a scale.");
  return L2Norm{};
}

at::Tensor divergence_threshold(Options& options, const at::Tensor& rows) {
  const KlDivergence kind{options.whole("bins", 3, 100001), options.number("smoothing", 0, 1)};
  QuantSpec spec;
  spec.format = IntFormat{.bit_width = options.whole("bits", 2, 16),
                          .is_signed = options.flag("signed", true)};
  return search_divergence(kind, spec, {rows.detach(), {}, {}, 1});
}

/// What the word says of each row. A learned sigma is a leaf of the answer.
at::Tensor compute(const std::string& word, Options& options, const at::Tensor& rows,
                   Answer& answer) {
  if (word == "kl_threshold") return divergence_threshold(options, rows);
  if (word == "negative_min_or_zero") return row_minimum(AbsMax{}, rows);
  if (word == "negative_percentile_or_zero") {
    const double low = options.number("low_percentile", 0, 100);
    return row_minimum(PercentileInterval{.low = low}, rows);
  }
  if (word == "mean_learned_sigma_std") {
    const auto sigma = at::full({}, options.number("sigma", 0, 1e6)).requires_grad_();
    answer.leaves["sigma"] = sigma;
    return mean_sigma(rows, sigma);
  }
  const Statistic statistic = statistic_named(word, options);
  const bool is_of_tensor = word == "absmax_average" || word == "absmax_l2";
  return row_statistic(statistic, is_of_tensor ? rows.reshape({1, -1}) : rows, rows);
}

}  // namespace

Answer answer_stats(const Case& item) {
  TORCH_CHECK_VALUE(item.op == "stat", "op: unknown value ", item.op, "; known is stat.");
  Options options(item.options);
  Answer answer;
  const at::Tensor x = answer.leaves["x"] = item.input("x").requires_grad_();
  const auto word = read_stat(options);
  const bool by_row = options.has("reduce_dim");
  if (by_row) options.whole("reduce_dim", 1, 1);
  options.ignore({"reduce_dim"});
  const at::Tensor found = compute(word, options, by_row ? x : x.reshape({1, -1}), answer);
  options.finish();
  std::vector<int64_t> shape;
  if (word == "l1_norm" || word == "l2_norm") {
    shape = {found.numel(), 1};
  } else if (by_row && word != "absmax_average" && word != "absmax_l2") {
    shape = {found.numel()};
  }
  answer.differentiated = found.reshape(shape);
  answer.outputs = {{"y", answer.differentiated}};
  answer.steps = {{"y", answer.differentiated.detach()}};
  return answer;
}

}  // namespace laconic::golden
