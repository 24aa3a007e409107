#include "laconic/transform/permute/permutation.h"

#include <ATen/ops/tensor.h>
#include <c10/util/Exception.h>

#include "laconic/base/text.h"

namespace laconic::transform {
namespace {

using Blocks = std::vector<std::vector<int64_t>>;

std::vector<int64_t> falling(const at::Tensor& of) {
  const auto order = of.to(at::kDouble).argsort(/*stable=*/true, 0, /*descending=*/true);
  const int64_t* first = order.const_data_ptr<int64_t>();
  return {first, first + order.numel()};
}

Blocks by_mass(const at::Tensor& mean, int64_t block) {
  const auto order = falling(mean);
  const auto mass_of = mean.to(at::kDouble).contiguous();
  const double* mass = mass_of.const_data_ptr<double>();
  const size_t count = order.size() / static_cast<size_t>(block);
  Blocks blocks(count);
  std::vector<double> filled(count, 0);
  for (size_t i = 0; i < order.size(); ++i) {
    size_t least = i < count ? i : count;
    for (size_t b = 0; i >= count && b < count; ++b) {
      if (static_cast<int64_t>(blocks[b].size()) == block) continue;
      if (least == count || filled[b] < filled[least]) least = b;
    }
    blocks[least].push_back(order[i]);
    filled[least] += mass[order[i]];
  }
  return blocks;
}

Blocks there_and_back(const at::Tensor& maximum, int64_t block) {
  const auto order = falling(maximum);
  const size_t count = order.size() / static_cast<size_t>(block);
  Blocks blocks(count);
  for (size_t i = 0; i < order.size(); ++i) {
    const size_t place = i % count;
    blocks[i / count % 2 == 0 ? place : count - 1 - place].push_back(order[i]);
  }
  return blocks;
}

}  // namespace

at::Tensor permutation(const std::string& kind, const at::Tensor& maximum, const at::Tensor& mean,
                       int64_t block) {
  TORCH_CHECK_VALUE(block > 0 && maximum.numel() % block == 0 && mean.numel() == maximum.numel(),
                    "[permutation] ", maximum.numel(), " features with ", mean.numel(),
                    " means: expected equal numbers that the block ", block, " divides.");
  Blocks blocks;
  if (kind == "absmax")
    blocks = {falling(maximum)};
  else if (kind == "zigzag")
    blocks = there_and_back(maximum, block);
  else if (kind == "massdiff")
    blocks = by_mass(mean, block);
  else
    TORCH_CHECK_VALUE(false, "[permutation] unknown order \"", kind, "\"",
                      suggestion(kind, kPermutationWords), ".");
  std::vector<int64_t> flat;
  for (const auto& one : blocks) flat.insert(flat.end(), one.begin(), one.end());
  return at::tensor(flat, at::kLong);
}

}  // namespace laconic::transform
