#include "laconic/quant/granularity/granularity.h"

#include <ATen/ops/constant_pad_nd.h>

#include "laconic/base/variant.h"

namespace laconic {
namespace {

int64_t wrapped_axis(std::string_view part, int64_t axis, at::IntArrayRef sizes) {
  const auto rank = static_cast<int64_t>(sizes.size());
  TORCH_CHECK_VALUE(axis >= -rank && axis < rank, "[", part, "] axis ", axis,
                    ": expected an axis of shape ", sizes, ". Choose ", -rank, " to ", rank - 1,
                    ".");
  return axis < 0 ? axis + rank : axis;
}

Layout layout_of(const CustomGranularity& kind, at::IntArrayRef sizes) {
  Layout layout = kind.function(kind.parameters, sizes);
  bool fits = layout.view.size() == layout.scale.size();
  for (size_t i = 0; fits && i < layout.view.size(); ++i)
    fits = layout.scale[i] == 1 || layout.scale[i] == layout.view[i];
  TORCH_CHECK_VALUE(fits && c10::multiply_integers(layout.view) == c10::multiply_integers(sizes),
                    "[granularity] ", kind.name, ": expected a view of shape ", sizes,
                    " and a scale that broadcasts to it, got the view ",
                    at::IntArrayRef(layout.view), " and the scale ", at::IntArrayRef(layout.scale),
                    ".");
  return layout;
}

}  // namespace

void check_granularity(const Granularity& granularity, at::IntArrayRef sizes) {
  std::visit(
      Overloaded{[](const PerTensor&) {},
                 [&](const PerChannel& kind) { wrapped_axis("PerChannel", kind.axis, sizes); },
                 [&](const PerToken&) {
                   TORCH_CHECK_VALUE(!sizes.empty(),
                                     "[PerToken] expected at least one dimension, got a scalar.");
                 },
                 [&](const PerGroup& kind) {
                   const int64_t length = sizes[wrapped_axis("PerGroup", kind.axis, sizes)];
                   TORCH_CHECK_VALUE(
                       kind.group_size > 0 && (kind.pad || length % kind.group_size == 0),
                       "[PerGroup] axis ", kind.axis,
                       " does not split into groups: expected a multiple of group_size ",
                       kind.group_size, ", got ", length, " (shape ", sizes,
                       "). Choose a divisor of ", length, " or set pad.");
                 },
                 [&](const CustomGranularity& kind) { layout_of(kind, sizes); }},
      granularity);
}

at::Tensor grouped(const at::Tensor& x, const Granularity& granularity) {
  if (const auto* own = std::get_if<CustomGranularity>(&granularity))
    return x.reshape(layout_of(*own, x.sizes()).view);
  check_granularity(granularity, x.sizes());
  const auto* group = std::get_if<PerGroup>(&granularity);
  if (group == nullptr) return x;
  const int64_t axis = wrapped_axis("PerGroup", group->axis, x.sizes());
  const int64_t missing =
      (group->group_size - x.size(axis) % group->group_size) % group->group_size;
  at::Tensor padded = x;
  if (missing > 0) {
    std::vector<int64_t> padding(2 * (x.dim() - axis), 0);
    padding.back() = missing;
    padded = at::constant_pad_nd(x, padding, 0);
  }
  return padded.unflatten(axis, {padded.size(axis) / group->group_size, group->group_size});
}

at::Tensor ungrouped(const at::Tensor& view, at::IntArrayRef sizes,
                     const Granularity& granularity) {
  if (std::holds_alternative<CustomGranularity>(granularity)) return view.reshape(sizes);
  const auto* group = std::get_if<PerGroup>(&granularity);
  if (group == nullptr) return view;
  const int64_t axis = wrapped_axis("PerGroup", group->axis, sizes);
  return view.flatten(axis, axis + 1).narrow(axis, 0, sizes[axis]);
}

std::vector<int64_t> scale_shape(at::IntArrayRef sizes, const Granularity& granularity) {
  check_granularity(granularity, sizes);
  std::vector<int64_t> shape = sizes.vec();
  return std::visit(
      Overloaded{[](const PerTensor&) { return std::vector<int64_t>(); },
                 [&](const PerChannel& kind) {
                   const int64_t axis = wrapped_axis("PerChannel", kind.axis, sizes);
                   std::vector<int64_t> one(shape.size(), 1);
                   one[axis] = shape[axis];
                   return one;
                 },
                 [&](const PerToken&) {
                   shape.back() = 1;
                   return shape;
                 },
                 [&](const PerGroup& kind) {
                   const int64_t axis = wrapped_axis("PerGroup", kind.axis, sizes);
                   shape[axis] = (shape[axis] + kind.group_size - 1) / kind.group_size;
                   shape.insert(shape.begin() + axis + 1, 1);
                   return shape;
                 },
                 [&](const CustomGranularity& kind) { return layout_of(kind, sizes).scale; }},
      granularity);
}

at::Tensor rows_of(const at::Tensor& x, const Granularity& granularity) {
  const at::Tensor view = grouped(x, granularity);
  const std::vector<int64_t> shape = scale_shape(x.sizes(), granularity);
  // Per tensor and per channel: the kept axis first. Per group: the axis inside the group last.
  if (shape.empty()) return view.reshape({1, view.numel()});
  int64_t scales = 1;
  std::vector<int64_t> order, reduced;
  for (int64_t i = 0; i < view.dim(); ++i) {
    scales *= shape[i];
    (shape[i] == 1 && view.size(i) != 1 ? reduced : order).push_back(i);
  }
  order.insert(order.end(), reduced.begin(), reduced.end());
  if (view.numel() == 0) return view.reshape({scales, scales == 0 ? 0 : view.numel() / scales});
  return view.permute(order).reshape({scales, view.numel() / scales});
}

}  // namespace laconic
