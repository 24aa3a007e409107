#include "laconic/nn/quantizer.h"

#include <torch/torch.h>

#include <utility>

#include "laconic/kernel/straight_through.h"
#include "laconic/quant/quantizer/hierarchy.h"

namespace laconic::nn {
namespace {

at::ScalarType parameter_dtype(at::ScalarType dtype) {
  return dtype == at::kDouble ? at::kDouble : at::kFloat;
}

bool is_symmetric(const QuantSpec& spec) {
  return std::holds_alternative<NoZeroPoint>(spec.zero_point);
}

bool learns_scale(const Scale& scale) {
  return std::holds_alternative<LearnedScale>(scale) ||
         std::holds_alternative<DecoupledScale>(scale) || is_norm(scale);
}

int64_t collect_steps(const Scale& scale) {
  const auto* learned = std::get_if<LearnedScale>(&scale);
  return learned != nullptr ? learned->collect_steps : 0;
}

/// Whether batches are averaged: RunningScale always, LearnedScale while it collects.
bool averages(const Scale& scale) {
  return std::holds_alternative<RunningScale>(scale) || collect_steps(scale) > 0;
}

double momentum_of(const Scale& scale) {
  const auto* running = std::get_if<RunningScale>(&scale);
  return running != nullptr ? running->momentum : std::get<LearnedScale>(scale).momentum;
}

/// What batches that are collected are quantized with.
ScaleRule unrestricted(ScaleRule rule) {
  if (!std::holds_alternative<SignedFloat>(rule.restriction)) rule.restriction = AnyFloat{};
  return rule;
}

QuantSpec with_rule(QuantSpec spec, const ScaleRule& rule) {
  spec.scale = StatisticScale{rule};
  return spec;
}

void assign(const at::Tensor& parameter, const at::Tensor& value) {
  const at::NoGradGuard no_gradient;
  parameter.copy_(value);
}

}  // namespace

QuantizerImpl::QuantizerImpl(QuantSpec spec, at::IntArrayRef shape, at::ScalarType dtype)
    : spec_(std::move(spec)), tensor_shape_(shape.vec()), dtype_(parameter_dtype(dtype)) {
  check(spec_);
  shape_ = scale_shape(shape, spec_.granularity);
  reset();
}

QuantizerImpl::QuantizerImpl(QuantSpec spec, const at::Tensor& example)
    : QuantizerImpl(std::move(spec), example.sizes(), example.scalar_type()) {
  if (collect_steps(spec_.scale) > 0) return;
  if (spec_.non_finite == NonFinite::kRefuse) check_quantizable(example);
  to(example.device());
  if (example.numel() > 0) begin_with(example.detach().to(dtype_));
}

void QuantizerImpl::reset() {
  register_numbers();
  register_rounding();
}

void QuantizerImpl::register_rounding() {
  rounding_ = make_rounding_state(spec_.rounding, torch::zeros(tensor_shape_, dtype_));
  for (const StateTensor& tensor : state_tensors(rounding_)) {
    const std::string name(tensor.name);
    *tensor.tensor = tensor.is_trainable ? register_parameter(name, *tensor.tensor)
                                         : register_buffer(name, *tensor.tensor);
  }
  if (rounding_.value.defined())
    rounding_initialized_ = register_buffer("rounding_initialized", torch::zeros({}, at::kBool));
}

void QuantizerImpl::register_numbers() {
  const auto of_scale = [&](double value) { return torch::full(shape_, value, dtype_); };
  const auto parameter = [&](const char* name, double value) {
    return register_parameter(name, of_scale(value));
  };
  if (learns_scale(spec_.scale)) scale_value_ = parameter("scale_value", 1);
  if (learns_minimum()) zero_point_ = parameter("zero_point", 0);
  if (const auto* bits = std::get_if<LearnedBits>(&spec_.bit_width)) {
    const auto* floats = std::get_if<MinifloatFormat>(&spec_.format);
    const int64_t first =
        floats != nullptr ? floats->mantissa_bits : std::get<IntFormat>(spec_.format).bit_width;
    bit_width_offset_ = register_parameter(
        floats != nullptr ? "mantissa_bits_offset" : "bit_width_offset",
        torch::full({}, static_cast<double>(first - bits->minimum_bits), dtype_));
  }
  const auto rule = statistic_of(spec_.scale);
  if (rule && rule->affine != Affine::kNone)
    affine_weight_ = parameter("affine_weight", rule->factor);
  if (rule && rule->affine == Affine::kFactorAndOffset) affine_bias_ = parameter("affine_bias", 0);
  if (is_norm(spec_.scale))
    norm_ = {parameter("norm_value", 0), parameter("prenorm_scale_value", 0), scale_value_};
  if (averages(spec_.scale)) running_statistic_ = register_buffer("running_statistic", of_scale(1));
  if (averages_minimum()) running_minimum_ = register_buffer("running_minimum", of_scale(0));
  const bool is_static = std::holds_alternative<StaticScale>(spec_.scale);
  if (is_static) {
    static_scale_ = register_buffer("static_scale", of_scale(1));
    if (!is_symmetric(spec_))
      static_zero_point_ = register_buffer("static_zero_point", of_scale(0));
  }
  if (averages(spec_.scale) || is_static)
    collected_steps_ = register_buffer("collected_steps", torch::zeros({}, at::kLong));
  if (scale_value_.defined() || zero_point_.defined())
    initialized_ = register_buffer("initialized", torch::zeros({}, at::kBool));
}

bool QuantizerImpl::learns_minimum() const {
  if (is_symmetric(spec_)) return false;
  const ZeroPointSource source = spec_.range_start.source;
  return source == ZeroPointSource::kLearned ||
         (source == ZeroPointSource::kAsScale && learns_scale(spec_.scale));
}

bool QuantizerImpl::averages_minimum() const {
  return !is_symmetric(spec_) && averages(spec_.scale) &&
         spec_.range_start.source != ZeroPointSource::kStatistic;
}

at::Tensor QuantizerImpl::bit_width() const {
  if (const auto* bits = std::get_if<LearnedBits>(&spec_.bit_width))
    return learned_bit_width(*bits, bit_width_offset_);
  const auto* floats = std::get_if<MinifloatFormat>(&spec_.format);
  const int64_t bits = floats != nullptr ? floats->mantissa_bits : stored_bits(spec_.format);
  return torch::full({}, static_cast<double>(bits), dtype_);
}

QuantTensor QuantizerImpl::forward(const at::Tensor& x) {
  const QuantParameters parameters = parameters_of(x);
  QuantTensor result = quantize(spec_, x, parameters);
  if (parameters.bit_width.defined()) {
    const auto bits = parameters.bit_width.item<int64_t>();
    if (auto* integers = std::get_if<IntFormat>(&result.format)) integers->bit_width = bits;
    if (auto* floats = std::get_if<MinifloatFormat>(&result.format)) floats->mantissa_bits = bits;
  }
  return result;
}

bool QuantizerImpl::keeps_numbers() const {
  return scale_value_.defined() || zero_point_.defined() || bit_width_offset_.defined() ||
         affine_weight_.defined() || collected_steps_.defined();
}

void QuantizerImpl::check_shape(const at::Tensor& x) const {
  const auto shape = scale_shape(x.sizes(), spec_.granularity);
  TORCH_CHECK_VALUE(!keeps_numbers() || shape == shape_, "[Quantizer] a tensor of shape ",
                    x.sizes(), " has scales of shape ", at::IntArrayRef(shape), ": expected ",
                    at::IntArrayRef(shape_),
                    " as the quantizer was made for. Make one for this shape.");
  TORCH_CHECK_VALUE(!rounding_.value.defined() || x.sizes() == tensor_shape_,
                    "[Quantizer] a learned rounding has one number an element: expected shape ",
                    at::IntArrayRef(tensor_shape_), ", got ", x.sizes(),
                    ". Make a quantizer for this shape.");
}

QuantParameters QuantizerImpl::parameters_of(const at::Tensor& x) {
  check_shape(x);
  if (spec_.non_finite == NonFinite::kRefuse) check_quantizable(x);
  if (x.numel() == 0) return find_parameters(spec_, x);
  const auto real = x.to(dtype_);
  QuantParameters numbers = keeps_numbers() ? numbers_of(real) : find_parameters(spec_, x);
  numbers.rounding = rounding_of(real.detach(), numbers);
  return numbers;
}

// Learned roundings begin where nothing is lost.
RoundingState QuantizerImpl::rounding_of(const at::Tensor& x, const QuantParameters& numbers) {
  RoundingState state = rounding_;
  state.is_training = is_training();
  if (state.value.defined() && !rounding_initialized_.item<bool>()) {
    const bool decoupled = numbers.code_scale.defined();
    const auto& scale = decoupled ? numbers.code_scale : numbers.scale;
    const auto& zero_point = decoupled ? numbers.code_zero_point : numbers.zero_point;
    auto code = grouped(x, spec_.granularity) / scale.detach();
    if (zero_point.defined()) code = code + zero_point.detach();
    const auto first = ungrouped(code, x.sizes(), spec_.granularity);
    assign(rounding_.value, make_rounding_state(spec_.rounding, first).value);
    rounding_initialized_.fill_(true);
  }
  if (state.draw.defined()) {
    state.draw = state.draw.clone();
    if (is_training()) rounding_.draw.add_(1);
  }
  return state;
}

QuantParameters QuantizerImpl::numbers_of(const at::Tensor& real) {
  if (initialized_.defined() && collect_steps(spec_.scale) == 0 && !initialized_.item<bool>())
    begin_with(real.detach());
  if (is_norm(spec_.scale)) return parameters_of_norm(spec_, real, norm_);
  if (std::holds_alternative<StaticScale>(spec_.scale)) return static_parameters(real);
  QuantParameters parameters;
  if (bit_width_offset_.defined()) parameters.bit_width = bit_width();
  const auto rule = statistic_of(spec_.scale);
  if (!rule) {
    const auto found = find_parameters(spec_, real);
    parameters.scale = found.scale, parameters.zero_point = found.zero_point;
    return parameters;
  }
  const CodeSpan span = code_span(spec_, real, parameters.bit_width);
  parameters.scale = find_scale(*rule, real, span);
  parameters.zero_point = find_zero_point(real, parameters.scale, span);
  if (std::holds_alternative<DecoupledScale>(spec_.scale)) {
    parameters.code_scale = live_scale(*rule, find_statistic(spec_, real), span);
    if (parameters.zero_point.defined())
      parameters.code_zero_point = find_zero_point(real, parameters.code_scale, span);
  }
  return parameters;
}

// Learned parameters at the statistics of `x`.
void QuantizerImpl::begin_with(const at::Tensor& x) {
  if (!initialized_.defined() || collect_steps(spec_.scale) > 0) return;
  if (is_norm(spec_.scale)) {
    const NormState found = initial_norm_state(spec_, x);
    assign(norm_.norm, found.norm), assign(norm_.code_scale, found.code_scale);
    assign(norm_.scale, found.scale);
  } else if (const auto rule = statistic_of(spec_.scale)) {
    const auto statistic = find_statistic(spec_, x).reshape(shape_);
    if (scale_value_.defined()) assign(scale_value_, stored_statistic(*rule, statistic));
    if (zero_point_.defined()) {
      const auto scale = live_scale(*rule, statistic, code_span(spec_, x));
      assign(zero_point_, find_minimum(spec_, x, scale.detach().reshape(-1)).reshape(shape_));
    }
  } else {
    const auto scale = find_parameters(spec_, x).scale;
    assign(zero_point_, find_minimum(spec_, x, scale.detach().reshape(-1)).reshape(shape_));
  }
  initialized_.fill_(true);
}

bool QuantizerImpl::is_collecting() const {
  return collect_steps(spec_.scale) > 0 && !initialized_.item<bool>();
}

// The first batch replaces what was there.
void QuantizerImpl::take_average(const at::Tensor& average, const at::Tensor& found,
                                 double momentum) {
  const int64_t steps = collected_steps_.item<int64_t>();
  double weight = momentum > 0 ? momentum : 1 / static_cast<double>(steps + 1);
  if (steps == 0) weight = 1;
  assign(average, average * (1 - weight) + found.detach() * weight);
}

void QuantizerImpl::finish_collecting() {
  const auto rule = *statistic_of(spec_.scale);
  assign(scale_value_, to_stored_domain(rule.restriction, running_statistic_));
  if (zero_point_.defined()) assign(zero_point_, running_minimum_);
  initialized_.fill_(true);
}

at::Tensor QuantizerImpl::find_scale(const ScaleRule& rule, const at::Tensor& x,
                                     const CodeSpan& span) {
  if (const auto* running = std::get_if<RunningScale>(&spec_.scale))
    return running_scale(*running, x, span);
  if (const auto* learned = std::get_if<LearnedScale>(&spec_.scale)) {
    if (is_collecting()) {
      const int64_t steps = collected_steps_.item<int64_t>();
      if (!is_training() || steps < learned->collect_steps)
        return collected_scale(*learned, x, span);
      finish_collecting();
    }
  }
  if (scale_value_.defined()) return scale_of_parameter(rule, scale_value_, span);
  return live_scale(rule, find_statistic(spec_, x), span);
}

at::Tensor QuantizerImpl::live_scale(const ScaleRule& rule, const at::Tensor& statistic,
                                     const CodeSpan& span) {
  const auto real = statistic.reshape(shape_);
  if (!affine_weight_.defined())
    return quantize_scales(spec_, scale_of_statistic(rule, real, span.threshold), shape_);
  auto stored = stored_statistic(rule, real) * affine_weight_;
  if (affine_bias_.defined()) stored = stored + affine_bias_;
  return scale_of_parameter(rule, stored, span);
}

at::Tensor QuantizerImpl::scale_of_parameter(const ScaleRule& rule, const at::Tensor& stored,
                                             const CodeSpan& span) const {
  return quantize_scales(spec_, scale_of_stored(rule, stored, span.threshold), shape_);
}

at::Tensor QuantizerImpl::averaged_scale(const ScaleRule& rule, const CodeSpan& span) {
  TORCH_CHECK_VALUE(collected_steps_.item<int64_t>() > 0,
                    "[Quantizer] evaluation before any training batch: expected a running "
                    "average, got none. Run some batches in training mode first.");
  return live_scale(rule, running_statistic_, span);
}

at::Tensor QuantizerImpl::running_scale(const RunningScale& rule, const at::Tensor& x,
                                        const CodeSpan& span) {
  if (!is_training()) return averaged_scale(rule, span);
  const auto statistic = find_statistic(spec_, x).reshape(shape_);
  take_average(running_statistic_, statistic, rule.momentum);
  if (!averages_minimum()) collected_steps_.add_(1);  // else minimum_for counts
  return live_scale(rule, statistic, span);
}

at::Tensor QuantizerImpl::collected_scale(const LearnedScale& rule, const at::Tensor& x,
                                          const CodeSpan& span) {
  if (!is_training()) return averaged_scale(rule, span);
  const ScaleRule plain = unrestricted(rule);
  const auto statistic = find_statistic(with_rule(spec_, plain), x).reshape(shape_);
  const auto kept = at_least(statistic, rule.minimum);
  take_average(running_statistic_, kept, rule.momentum);
  if (!averages_minimum()) collected_steps_.add_(1);
  // The parameter has a gradient of zero, as it does in a graph that all processes share.
  return kept / span.threshold + scale_value_ * 0;
}

at::Tensor QuantizerImpl::minimum_for(const at::Tensor& x, const at::Tensor& scale) {
  const auto found = [&] {
    const auto spec =
        is_collecting() ? with_rule(spec_, unrestricted(*statistic_of(spec_.scale))) : spec_;
    return find_minimum(spec, x, scale.detach().reshape(-1)).reshape(shape_);
  };
  const bool learned = zero_point_.defined() && initialized_.item<bool>();
  if (averages_minimum() && !learned) {
    if (!is_training()) return running_minimum_;
    const auto minimum = found();
    take_average(running_minimum_, minimum, momentum_of(spec_.scale));
    collected_steps_.add_(1);
    return zero_point_.defined() ? minimum + zero_point_ * 0 : minimum;
  }
  return learned ? magnitude(zero_point_).neg() : found();
}

at::Tensor QuantizerImpl::find_zero_point(const at::Tensor& x, const at::Tensor& scale,
                                          const CodeSpan& span) {
  if (is_symmetric(spec_)) return {};
  const auto minimum = quantize_minima(spec_, minimum_for(x, scale), shape_);
  return zero_point_of_minimum(spec_.zero_point, minimum, scale, span.bounds,
                               {spec_.rounding, spec_.gradient});
}

QuantParameters QuantizerImpl::static_parameters(const at::Tensor& x) {
  if (is_training()) {
    if (!static_range_) static_range_.emplace(spec_);
    static_range_->add(x);
    const QuantParameters found = static_range_->parameters();
    assign(static_scale_, found.scale.reshape(shape_));
    if (static_zero_point_.defined()) assign(static_zero_point_, found.zero_point.reshape(shape_));
    collected_steps_.fill_(static_range_->windows());
  }
  TORCH_CHECK_VALUE(collected_steps_.item<int64_t>() > 0,
                    "[Quantizer] evaluation before any training batch: expected a static scale, "
                    "got none. Run some batches in training mode first.");
  return {static_scale_, static_zero_point_};
}

}  // namespace laconic::nn
