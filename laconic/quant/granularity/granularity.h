#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "laconic/quant/custom/custom.h"

namespace laconic {

/// One scale for all elements.
struct PerTensor {
  static constexpr std::string_view kName = "tensor";
  bool operator==(const PerTensor&) const = default;
};

/// One scale for each index of `axis` (negative counts from the end).
struct PerChannel {
  static constexpr std::string_view kName = "channel";
  int64_t axis = 0;
  bool operator==(const PerChannel&) const = default;
};

/// One scale for `group_size` consecutive elements of `axis`; `pad` lets the last group be shorter
/// (filled with zeros).
struct PerGroup {
  static constexpr std::string_view kName = "group";
  int64_t axis = 1;
  int64_t group_size = 128;
  bool pad = false;
  bool operator==(const PerGroup&) const = default;
};

/// One scale for each vector along the last dimension: activations, found at run time.
struct PerToken {
  static constexpr std::string_view kName = "token";
  bool operator==(const PerToken&) const = default;
};

/// One scale for each block of `rows` x `columns` elements of the last two dimensions; `pad` lets
/// the last blocks be smaller (filled with zeros).
struct PerBlock {
  static constexpr std::string_view kName = "block";
  int64_t rows = 128, columns = 128;
  bool pad = false;
  bool operator==(const PerBlock&) const = default;
};

/// `axis` holds the heads of attention one after the other, all of one size: one scale for each
/// head over all the rest, or for each head of each token (every other index) when `per_token`.
struct PerHead {
  static constexpr std::string_view kName = "head";
  int64_t axis = -1;
  int64_t heads = 1;
  bool per_token = false;
  bool operator==(const PerHead&) const = default;
};

/// How a tensor is laid out for its scales: `view` has the tensor's elements in their order,
/// `scale` as many dimensions, 1 where a scale is shared.
struct Layout {
  std::vector<int64_t> view, scale;
};

/// A granularity of a user's own (blocks of two dimensions, say): the sizes of a tensor -> its
/// layout.
/// @throws c10::ValueError for a shape that it does not fit.
struct GranularityKind {
  static constexpr std::string_view kWord = "granularity";
  using Function = Layout(const CustomParameters& parameters, at::IntArrayRef sizes);
};
using CustomGranularity = Custom<GranularityKind>;

using Granularity =
    std::variant<PerTensor, PerChannel, PerGroup, PerToken, PerBlock, PerHead, CustomGranularity>;

/// `x` laid out so that its scales broadcast: the same tensor, or with the axes of groups, blocks
/// and heads split into (groups, elements of one), or a user's own layout.
at::Tensor grouped(const at::Tensor& x, const Granularity& granularity);

/// Back from `grouped` to the shape `sizes`; padding is cut off.
at::Tensor ungrouped(const at::Tensor& view, at::IntArrayRef sizes, const Granularity& granularity);

/// Shape of the scale for a tensor of shape `sizes`: [] per tensor, else 1 along every dimension
/// that shares a scale.
std::vector<int64_t> scale_shape(at::IntArrayRef sizes, const Granularity& granularity);

/// A scale or zero point, in the shape of `scale_shape`, as one number an element: shape `sizes`.
at::Tensor spread(const at::Tensor& parameter, at::IntArrayRef sizes,
                  const Granularity& granularity);

/// [scales, elements of one]: the elements that share a scale in one row, scales in the order of
/// `scale_shape`.
at::Tensor rows_of(const at::Tensor& x, const Granularity& granularity);

/// @throws c10::ValueError for sizes of groups, blocks or heads that no tensor fits.
void check_granularity(const Granularity& granularity);

/// @throws c10::ValueError when an axis does not exist in a tensor of this shape, or does not split
/// into groups.
void check_granularity(const Granularity& granularity, at::IntArrayRef sizes);

}  // namespace laconic
