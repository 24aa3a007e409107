#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "laconic/transform/network.h"
#include "laconic/transform/streams.h"

namespace laconic::transform {

/// Words for kinds of orthogonal matrices.
inline const std::vector<std::string> kMatrixWords = {"none", "hadamard", "random_hadamard",
                                                      "orthogonal"};

/// An orthogonal map R of runs of `size` features: row x becomes x R.
struct Rotation {
  int64_t size = 0;
  at::Tensor signs;  ///< [size] of +1 and -1: R = diag(signs) H; undefined: R = H
  at::Tensor dense;  ///< [size, size]: R itself; undefined: by fast Hadamard transform
  /// Every run of `size` of the last dimension.
  at::Tensor apply(const at::Tensor& x) const;
};

/// "hadamard"; "random_hadamard": after random signs (QuaRot, arXiv:2404.00456); "orthogonal": the
/// Q of a Gaussian matrix, uniform over all rotations. A Hadamard order that nobody reaches gives
/// an orthogonal one, which `note` says.
Rotation make_rotation(const std::string& kind, int64_t size, uint64_t seed, std::string* note);

/// Where a rotation acts in a stored tensor.
struct Site {
  Part part;
  /// [runs, size] int64: the features of each run along the part's dimension; undefined: all, in
  /// runs one after the other.
  at::Tensor index;
};

/// `stored` with the rotation in it.
at::Tensor rotated(const at::Tensor& stored, const Site& site, const Rotation& rotation);

/// All sites of one rotation; a tensor with several takes them one after the other.
void rotate_sites(FloatNetwork& network, const std::vector<Site>& sites, const Rotation& rotation);

}  // namespace laconic::transform
