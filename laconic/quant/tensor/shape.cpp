#include "laconic/quant/tensor/shape.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/pixel_shuffle.h>
#include <ATen/ops/pixel_unshuffle.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>
#include <string_view>

#include "laconic/quant/tensor/operands.h"

namespace laconic {
namespace {

int64_t from_start(int64_t dim, int64_t rank) { return dim < 0 ? dim + rank : dim; }

int64_t product(at::IntArrayRef sizes, int64_t count) {
  return std::accumulate(sizes.begin(), sizes.begin() + count, int64_t{1}, std::multiplies<>());
}

bool is_per_tensor(const QuantTensor& a) { return a.scale.numel() == 1 && a.scale.dim() == 0; }

/// A scale or zero point changed like its tensor; nothing where there is none or it is one number.
template <typename Function>
at::Tensor moved(const at::Tensor& parameter, Function&& function) {
  if (!parameter.defined() || parameter.dim() == 0) return parameter;
  return function(parameter);
}

template <typename Function>
QuantTensor with_parameters(const QuantTensor& a, const at::Tensor& value,
                            const Granularity& granularity, Function&& function) {
  return {value, moved(a.scale, function), moved(a.zero_point, function), a.format, granularity};
}

/// @throws unless scales are per tensor, or per channel where `allows_channel`.
int64_t channel_axis(std::string_view where, const QuantTensor& a) {
  const auto* channel = std::get_if<PerChannel>(&a.granularity);
  TORCH_CHECK_NOT_IMPLEMENTED(
      channel != nullptr, "[", where, "] expected one scale for the tensor or one a channel, got ",
      part_name(a.granularity),
      ": the scales would not follow their elements. Change the shape before quantizing.");
  return from_start(channel->axis, a.value.dim());
}

/// The axis of `sizes` that holds what `axis` held; nothing when it is split or joined.
std::optional<int64_t> kept_axis(at::IntArrayRef before, int64_t axis, at::IntArrayRef sizes) {
  const int64_t outer = product(before, axis);
  for (int64_t i = 0; i < static_cast<int64_t>(sizes.size()); ++i) {
    if (product(sizes, i) == outer && sizes[i] == before[axis]) return i;
  }
  return std::nullopt;
}

}  // namespace

QuantTensor reshape(const QuantTensor& a, at::IntArrayRef sizes) {
  const auto value = a.value.reshape(sizes);
  if (is_per_tensor(a)) return with_value(a, value);
  const int64_t axis = channel_axis("reshape", a);
  const auto kept = kept_axis(a.value.sizes(), axis, value.sizes());
  TORCH_CHECK_NOT_IMPLEMENTED(kept.has_value(), "[reshape] the axis ", axis,
                              " that has the scales is split or joined from ", a.value.sizes(),
                              " to ", value.sizes(), ". Keep it, or use one scale.");
  std::vector<int64_t> shape(value.dim(), 1);
  shape[*kept] = value.size(*kept);
  return with_parameters(a, value, PerChannel{*kept},
                         [&](const at::Tensor& p) { return p.reshape(shape); });
}

QuantTensor flatten(const QuantTensor& a, int64_t first, int64_t last) {
  return reshape(a, a.value.flatten(first, last).sizes());
}

QuantTensor permute(const QuantTensor& a, at::IntArrayRef dims) {
  const auto value = a.value.permute(dims);
  if (is_per_tensor(a)) return with_value(a, value);
  check_ungrouped("permute", a);
  TORCH_CHECK_NOT_IMPLEMENTED(a.scale.dim() == a.value.dim(),
                              "[permute] expected a scale with as many dimensions as the tensor, ",
                              a.value.dim(), ", got ", a.scale.dim(), ". Reshape the scale.");
  const auto function = [&](const at::Tensor& p) { return p.permute(dims); };
  return with_parameters(a, value, granularity_of_scale(function(a.scale), value.sizes()),
                         function);
}

QuantTensor transpose(const QuantTensor& a, int64_t one, int64_t other) {
  std::vector<int64_t> dims(a.value.dim());
  std::iota(dims.begin(), dims.end(), 0);
  std::swap(dims.at(from_start(one, a.value.dim())), dims.at(from_start(other, a.value.dim())));
  return permute(a, dims);
}

QuantTensor narrow(const QuantTensor& a, int64_t dim, int64_t start, int64_t length) {
  const auto value = a.value.narrow(dim, start, length);
  if (is_per_tensor(a)) return with_value(a, value);
  const int64_t axis = from_start(dim, a.value.dim());
  const auto* group = std::get_if<PerGroup>(&a.granularity);
  if (group == nullptr) {
    check_ungrouped("narrow", a);
    return with_parameters(a, value, a.granularity, [&](const at::Tensor& p) {
      return p.size(axis) == 1 ? p : p.narrow(axis, start, length);
    });
  }
  const int64_t grouped_axis = from_start(group->axis, a.value.dim());
  if (axis != grouped_axis) {
    const int64_t place = axis < grouped_axis ? axis : axis + 1;  // groups are a dimension more
    return with_parameters(a, value, a.granularity,
                           [&](const at::Tensor& p) { return p.narrow(place, start, length); });
  }
  const int64_t size = group->group_size;
  TORCH_CHECK_NOT_IMPLEMENTED(start % size == 0 && length % size == 0,
                              "[narrow] expected whole groups of ", size, ", got ", length,
                              " elements from ", start, " on. Choose multiples of the group.");
  return with_parameters(a, value, a.granularity, [&](const at::Tensor& p) {
    return p.narrow(axis, start / size, length / size);
  });
}

QuantTensor select(const QuantTensor& a, int64_t dim, int64_t index) {
  const auto value = a.value.select(dim, index);
  if (is_per_tensor(a)) return with_value(a, value);
  const int64_t axis = from_start(dim, a.value.dim()), scales = channel_axis("select", a);
  const bool is_of_axis = axis == scales;
  const auto function = [&](const at::Tensor& p) {
    return is_of_axis ? p.flatten()[index] : p.squeeze(axis);
  };
  const Granularity granularity =
      is_of_axis ? Granularity(PerTensor{}) : PerChannel{axis < scales ? scales - 1 : scales};
  return with_parameters(a, value, granularity, function);
}

QuantTensor concatenate(const std::vector<QuantTensor>& parts, int64_t dim) {
  TORCH_CHECK_VALUE(!parts.empty(), "[concatenate] expected at least one tensor, got none.");
  const QuantTensor& first = parts.front();
  const int64_t axis = from_start(dim, first.value.dim());
  std::vector<at::Tensor> values, scales, zero_points;
  for (const QuantTensor& part : parts) {
    TORCH_CHECK_VALUE(part.format == first.format && part.granularity == first.granularity,
                      "[concatenate] expected tensors of one format and granularity, got others. "
                      "Quantize all with one quantizer.");
    values.push_back(part.value), scales.push_back(part.scale);
    zero_points.push_back(zero_or_none(part));
  }
  const auto value = at::cat(values, dim);
  const bool varies = first.scale.dim() == first.value.dim() && first.scale.size(axis) > 1;
  if (!is_per_tensor(first)) check_ungrouped("concatenate", first);
  if (varies)
    return {value, at::cat(scales, axis),
            is_symmetric(first) ? first.zero_point : at::cat(zero_points, axis), first.format,
            first.granularity};
  for (const QuantTensor& part : parts) {
    check_same_scale("concatenate", first, part);
    TORCH_CHECK_VALUE(zero_or_none(part).eq(zero_or_none(first)).all().item<bool>(),
                      "[concatenate] zero points: expected the same for all tensors, got others. "
                      "Quantize all with one quantizer.");
  }
  return with_value(first, value);
}

QuantTensor pad(const QuantTensor& a, at::IntArrayRef amounts) {
  if (!is_per_tensor(a)) {
    const int64_t from_end = a.value.dim() - 1 - channel_axis("pad", a);
    TORCH_CHECK_NOT_IMPLEMENTED(2 * from_end >= static_cast<int64_t>(amounts.size()),
                                "[pad] expected no padding along the axis that has the scales. "
                                "New channels have none: pad before quantizing.");
  }
  const bool has_zero =
      !a.zero_point.defined() || a.zero_point.eq(a.zero_point.round()).all().item<bool>();
  TORCH_CHECK_VALUE(has_zero,
                    "[pad] zero points: expected whole ones, so that 0 is a code, got "
                    "others. Use an integer zero point.");
  return with_value(a, at::constant_pad_nd(a.value, amounts));
}

QuantTensor pixel_shuffle(const QuantTensor& a, int64_t factor) {
  TORCH_CHECK_NOT_IMPLEMENTED(is_per_tensor(a),
                              "[pixel_shuffle] expected one scale for the tensor, got ",
                              part_name(a.granularity), ": channels are mixed.");
  return with_value(a, at::pixel_shuffle(a.value, factor));
}

QuantTensor pixel_unshuffle(const QuantTensor& a, int64_t factor) {
  TORCH_CHECK_NOT_IMPLEMENTED(is_per_tensor(a),
                              "[pixel_unshuffle] expected one scale for the tensor, got ",
                              part_name(a.granularity), ": channels are mixed.");
  return with_value(a, at::pixel_unshuffle(a.value, factor));
}

QuantTensor upsample_nearest(const QuantTensor& a, int64_t factor) {
  TORCH_CHECK_VALUE(a.value.dim() == 4 && factor >= 1,
                    "[upsample_nearest] expected [N, C, H, W] and a factor of at least 1, got ",
                    a.value.sizes(), " and ", factor, ".");
  if (!is_per_tensor(a))
    TORCH_CHECK_NOT_IMPLEMENTED(channel_axis("upsample_nearest", a) == 1,
                                "[upsample_nearest] expected scales on axis 1. Quantize so.");
  return with_value(a, a.value.repeat_interleave(factor, 2).repeat_interleave(factor, 3));
}

}  // namespace laconic
