#include "laconic/kernel/fused/bands.h"

#include <algorithm>
#include <atomic>

#include "laconic/kernel/fused/patch_loops.h"
#include "laconic/kernel/fused/pieces.h"
#include "laconic/kernel/parallel.h"

namespace laconic::kernel {
namespace {

constexpr int64_t kPatchRows = 256;           // few enough for sums in float
constexpr int64_t kElementsAtOnce = 1 << 18;  // stay in a cache between two looks, about

/// Patches that are a part of a band.
Patches cut(const ScaleRuns& runs) { return {runs, kPatchRows, kPatchColumns}; }

template <class Body>
void for_patches(const Patches& patches, const Body& body) {
  const int64_t grain = grain_of(patches.rows() * patches.columns());
  parallel_for(0, patches.count(), grain, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) body(patches[i]);
  });
}

/// What the patches of each scale add up to; `find(patch, to)` finds the parts of its scales.
template <class Part, class Find>
std::vector<Part> sums_of_scales(const ScaleRuns& runs, const Find& find) {
  const Patches patches = cut(runs);
  const int64_t scales = runs.scales();
  std::vector<Part> parts(static_cast<size_t>(scales * patches.parts()));
  for_patches(patches, [&](const Patch& patch) {
    find(patch, parts.data() + patch.part * scales + patch.first_scale);
  });
  parallel_for(0, scales, kGrain, [&](int64_t first, int64_t last) {
    for (int64_t part = 1; part < patches.parts(); ++part)
      for (int64_t i = first; i < last; ++i)
        parts[static_cast<size_t>(i)].add(parts[static_cast<size_t>(part * scales + i)]);
  });
  parts.resize(static_cast<size_t>(scales));
  return parts;
}

/// Whole bands, in few enough columns for a cache.
Patches whole(const ScaleRuns& runs) {
  const int64_t columns = std::clamp<int64_t>(kElementsAtOnce / runs.band, 1, kPatchColumns);
  return {runs, runs.band, std::max(columns, runs.group)};
}

}  // namespace

bool fit_cache(const ScaleRuns& runs) {
  constexpr int64_t kFewest = 256;  // columns; fewer take less than the pages that they lie in
  const Patches patches = whole(runs);
  return patches.columns() >= std::min(kFewest, runs.length) &&
         runs.band * patches.columns() <= kElementsAtOnce;
}

bool quantize_found_bands(const FusedJob& job) {
  std::atomic<bool> is_finite = true;
  for_patches(whole(job.runs), [&](const Patch& patch) {
    if (!quantize_found_patch(job, patch)) is_finite = false;
  });
  return is_finite;
}

void quantize_given_bands(const FusedJob& job) {
  for_patches(cut(job.runs), [&](const Patch& patch) { quantize_given_patch(job, patch); });
}

std::vector<RangeKeys> keys_of_bands(const FusedJob& job) {
  return sums_of_scales<RangeKeys>(
      job.runs, [&](const Patch& patch, RangeKeys* to) { find_patch_keys(job, patch, to); });
}

std::vector<GradientSums> gradient_sums_of_bands(const BackwardJob& job) {
  return sums_of_scales<GradientSums>(
      job.runs, [&](const Patch& patch, GradientSums* to) { sum_patch_gradients(job, patch, to); });
}

void write_band_gradients(const BackwardJob& job) {
  for_patches(cut(job.runs), [&](const Patch& patch) { write_patch_gradients(job, patch); });
}

}  // namespace laconic::kernel
