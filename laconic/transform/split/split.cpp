#include "laconic/transform/split/split.h"

#include <ATen/ops/cat.h>

#include <cmath>

#include "laconic/file/json/options.h"
#include "laconic/transform/elementwise.h"
#include "laconic/transform/scalings.h"

namespace laconic::transform {
namespace {

constexpr const char* kSplitWhere = "transform split";

struct SplitOptions {
  double ratio = 0;
  int64_t multiple = 1;
};

SplitOptions read_split(const nlohmann::json& given) {
  const auto options = with_defaults(kSplitWhere, given, split_defaults());
  return {number_option(kSplitWhere, options, "ratio", 0, 1),
          integer_option(kSplitWhere, options, "multiple", 1, 1 << 20)};
}

}  // namespace

at::Tensor widest_features(const at::Tensor& widths, double ratio, int64_t multiple) {
  const int64_t all = widths.numel();
  auto count = static_cast<int64_t>(std::ceil(ratio * static_cast<double>(all)));
  count += (multiple - (all + count) % multiple) % multiple;
  const auto order = widths.argsort(/*stable=*/true, 0, /*descending=*/true);
  return std::get<0>(order.slice(0, 0, std::min(count, all)).sort());
}

at::Tensor with_copies(const at::Tensor& tensor, int64_t dim, const at::Tensor& features) {
  return at::cat({tensor, tensor.index_select(dim, features)}, dim);
}

at::Tensor with_halves(const at::Tensor& tensor, int64_t dim, const at::Tensor& features) {
  const auto halves = tensor.index_select(dim, features) / 2;
  return at::cat({tensor.index_copy(dim, features, halves), halves}, dim);
}

TransformReport split(FloatNetwork& network, const nlohmann::json& given) {
  const SplitOptions options = read_split(given);
  TransformReport report{"split", {}, {}};
  Changes changes;
  int64_t count = 0, regions = 0;
  for (const ElementwiseRegion& region : find_elementwise_regions(network)) {
    const std::string& name = region.reader.weight_name;
    const auto widths = network.parameters->get(name).abs().amax(region.reader.transposed ? 1 : 0);
    network.parameters->release(name);
    const auto features = widest_features(widths, options.ratio, options.multiple);
    lengthen(
        network, region, features.numel(),
        [=](const at::Tensor& stored, int64_t dim) { return with_copies(stored, dim, features); },
        [=](const at::Tensor& stored, int64_t dim) { return with_halves(stored, dim, features); },
        changes);
    count += features.numel();
    ++regions;
  }
  change_parameters(network, std::move(changes));
  if (count > 0) network.graph_changes.emplace_back("split");
  if (regions == 0)
    report.fallbacks.emplace_back(
        "nothing is split: no layer reads features that come element by "
        "element from rows of others.");
  report.done.push_back(std::to_string(count) + " features of the inputs of " +
                        std::to_string(regions) + " layers are split in two.");
  return report;
}

TransformNeeds split_needs(const FloatNetwork& network, const nlohmann::json&) {
  TransformNeeds needs;
  for (const ElementwiseRegion& region : find_elementwise_regions(network)) {
    // The reader's weight, and magnitudes.
    needs.work_on(region.reader.name, 3 * float_bytes(network, region.reader.weight_name));
    needs.kept += 2 * vector_bytes(region.width);
  }
  return needs;
}

void check_split(const nlohmann::json& options) { read_split(options); }

nlohmann::json split_defaults() { return {{"ratio", 0.02}, {"multiple", 1}}; }

}  // namespace laconic::transform
