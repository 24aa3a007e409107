#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace laconic::transform {

/// Words for orders of features before a rotation in blocks.
inline const std::vector<std::string> kPermutationWords = {"massdiff", "zigzag", "absmax"};

/// The order in which n features are to stand so that blocks of `block` of them share the large
/// ones (MixQuant, arXiv:2601.22347):
/// - massdiff: by falling mean magnitude, each to the block that is not full with the least mass;
/// - zigzag: by falling maximum, along the blocks and back;
/// - absmax: by falling maximum, block after block (a baseline).
/// @param maximum  [n], largest magnitude of each feature; ties keep their order.
/// @param mean     [n], mean magnitude.
/// @returns [n] int64: place -> feature.
/// @throws c10::ValueError for another word, or a block that does not divide n.
at::Tensor permutation(const std::string& kind, const at::Tensor& maximum, const at::Tensor& mean,
                       int64_t block);

}  // namespace laconic::transform
