#include "laconic/quant/granularity/granularity.h"

#include <ATen/ops/constant_pad_nd.h>

#include <algorithm>

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

/// An axis that is split into parts of `size` elements, each with a scale along it.
struct Split {
  int64_t axis, size;
};

int64_t parts(const Split& split, at::IntArrayRef sizes) {
  return (sizes[split.axis] + split.size - 1) / split.size;
}

void check_divides(std::string_view part, std::string_view field, const Split& split,
                   at::IntArrayRef sizes) {
  const int64_t length = sizes[split.axis];
  TORCH_CHECK_VALUE(length % split.size == 0, "[", part, "] axis ", split.axis,
                    " does not split into groups: expected a multiple of ", field, " ", split.size,
                    ", got ", length, " (shape ", sizes, "). Choose a divisor of ", length,
                    " or set pad.");
}

std::vector<Split> block_splits(const PerBlock& kind, at::IntArrayRef sizes) {
  const auto rank = static_cast<int64_t>(sizes.size());
  TORCH_CHECK_VALUE(rank >= 2, "[PerBlock] expected at least two dimensions, got shape ", sizes,
                    ".");
  const Split rows{rank - 2, kind.rows}, columns{rank - 1, kind.columns};
  if (!kind.pad) {
    check_divides("PerBlock", "rows", rows, sizes);
    check_divides("PerBlock", "columns", columns, sizes);
  }
  return {rows, columns};
}

std::vector<Split> head_splits(const PerHead& kind, at::IntArrayRef sizes) {
  const int64_t axis = wrapped_axis("PerHead", kind.axis, sizes), length = sizes[axis];
  TORCH_CHECK_VALUE(length % kind.heads == 0, "[PerHead] axis ", kind.axis,
                    " does not split into heads: expected a multiple of heads ", kind.heads,
                    ", got ", length, " (shape ", sizes, ").");
  return {{axis, std::max<int64_t>(1, length / kind.heads)}};
}

/// The axes that are split, ascending.
std::vector<Split> splits_of(const Granularity& granularity, at::IntArrayRef sizes) {
  if (const auto* block = std::get_if<PerBlock>(&granularity)) return block_splits(*block, sizes);
  if (const auto* head = std::get_if<PerHead>(&granularity)) return head_splits(*head, sizes);
  const auto* group = std::get_if<PerGroup>(&granularity);
  if (group == nullptr) return {};
  const Split split{wrapped_axis("PerGroup", group->axis, sizes), group->group_size};
  if (!group->pad) check_divides("PerGroup", "group_size", split, sizes);
  return {split};
}

at::Tensor padded(const at::Tensor& x, const std::vector<Split>& splits) {
  std::vector<int64_t> padding(2 * x.dim(), 0);
  bool is_whole = true;
  for (const Split& split : splits) {
    const int64_t missing = parts(split, x.sizes()) * split.size - x.size(split.axis);
    padding[2 * (x.dim() - split.axis) - 1] = missing;
    is_whole = is_whole && missing == 0;
  }
  return is_whole ? x : at::constant_pad_nd(x, padding, 0);
}

}  // namespace

void check_granularity(const Granularity& granularity) {
  const auto more_than_zero = [](std::string_view field, int64_t size) {
    TORCH_CHECK_VALUE(size > 0, "[", field, ": expected more than 0, got ", size, ".");
  };
  std::visit(Overloaded{[&](const PerGroup& kind) {
                          more_than_zero("PerGroup] group_size", kind.group_size);
                        },
                        [&](const PerBlock& kind) {
                          more_than_zero("PerBlock] rows", kind.rows);
                          more_than_zero("PerBlock] columns", kind.columns);
                        },
                        [&](const PerHead& kind) { more_than_zero("PerHead] heads", kind.heads); },
                        [](const auto&) {}},
             granularity);
}

void check_granularity(const Granularity& granularity, at::IntArrayRef sizes) {
  check_granularity(granularity);
  splits_of(granularity, sizes);
  if (const auto* channel = std::get_if<PerChannel>(&granularity))
    wrapped_axis("PerChannel", channel->axis, sizes);
  if (std::holds_alternative<PerToken>(granularity))
    TORCH_CHECK_VALUE(!sizes.empty(), "[PerToken] expected at least one dimension, got a scalar.");
  if (const auto* own = std::get_if<CustomGranularity>(&granularity)) layout_of(*own, sizes);
}

at::Tensor grouped(const at::Tensor& x, const Granularity& granularity) {
  if (const auto* own = std::get_if<CustomGranularity>(&granularity))
    return x.reshape(layout_of(*own, x.sizes()).view);
  check_granularity(granularity, x.sizes());
  const auto splits = splits_of(granularity, x.sizes());
  at::Tensor view = padded(x, splits);
  for (auto split = splits.rbegin(); split != splits.rend(); ++split)
    view = view.unflatten(split->axis, {view.size(split->axis) / split->size, split->size});
  return view;
}

at::Tensor ungrouped(const at::Tensor& view, at::IntArrayRef sizes,
                     const Granularity& granularity) {
  if (std::holds_alternative<CustomGranularity>(granularity)) return view.reshape(sizes);
  at::Tensor x = view;
  for (const Split& split : splits_of(granularity, sizes))
    x = x.flatten(split.axis, split.axis + 1).narrow(split.axis, 0, sizes[split.axis]);
  return x;
}

std::vector<int64_t> scale_shape(at::IntArrayRef sizes, const Granularity& granularity) {
  check_granularity(granularity, sizes);
  std::vector<int64_t> shape = sizes.vec();
  if (std::holds_alternative<PerTensor>(granularity)) return {};
  if (const auto* own = std::get_if<CustomGranularity>(&granularity))
    return layout_of(*own, sizes).scale;
  if (std::holds_alternative<PerToken>(granularity)) shape.back() = 1;
  if (const auto* channel = std::get_if<PerChannel>(&granularity)) {
    const int64_t axis = wrapped_axis("PerChannel", channel->axis, sizes), length = shape[axis];
    std::fill(shape.begin(), shape.end(), 1);
    shape[axis] = length;
  }
  const auto* head = std::get_if<PerHead>(&granularity);
  if (head != nullptr && !head->per_token) std::fill(shape.begin(), shape.end(), 1);
  const auto splits = splits_of(granularity, sizes);
  for (auto split = splits.rbegin(); split != splits.rend(); ++split) {
    shape[split->axis] = parts(*split, sizes);
    shape.insert(shape.begin() + split->axis + 1, 1);
  }
  return shape;
}

at::Tensor spread(const at::Tensor& parameter, at::IntArrayRef sizes,
                  const Granularity& granularity) {
  const auto view = grouped(parameter.detach().new_empty(sizes), granularity);
  return ungrouped(parameter.expand(view.sizes()), sizes, granularity);
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
