#pragma once

#include "laconic/transform/transform.h"

namespace laconic::transform {

/// The features with the largest of `widths`, in their order.
/// @param ratio  of all features, rounded up.
/// @param multiple  as many more as make the new number of features one of its multiples.
at::Tensor widest_features(const at::Tensor& widths, double ratio, int64_t multiple = 1);

/// `tensor` with copies of some of its slices along `dim` at the end.
at::Tensor with_copies(const at::Tensor& tensor, int64_t dim, const at::Tensor& features);
/// The same, each of the slices and its copy halved.
at::Tensor with_halves(const at::Tensor& tensor, int64_t dim, const at::Tensor& features);

/// Splits the features with the largest columns in two (README.md).
TransformReport split(FloatNetwork& network, const nlohmann::json& options);
void check_split(const nlohmann::json& options);
nlohmann::json split_defaults();
TransformNeeds split_needs(const FloatNetwork& network, const nlohmann::json& options);

inline constexpr Transform kSplit{"split",
                                  "features with the largest weights computed twice and read half",
                                  "arXiv:1901.09504",
                                  split,
                                  check_split,
                                  split_defaults,
                                  split_needs};

}  // namespace laconic::transform
