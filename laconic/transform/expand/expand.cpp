#include "laconic/transform/expand/expand.h"

#include <ATen/ops/constant_pad_nd.h>
#include <c10/util/Exception.h>

#include <set>

#include "laconic/file/json/options.h"
#include "laconic/kernel/hadamard.h"
#include "laconic/transform/elementwise.h"

namespace laconic::transform {
namespace {

constexpr const char* kExpandWhere = "transform expand";

struct ExpandOptions {
  int64_t steps = 1, multiple = 0;
};

ExpandOptions read_expand(const nlohmann::json& given) {
  const auto options = with_defaults(kExpandWhere, given, expand_defaults());
  return {integer_option(kExpandWhere, options, "steps", 1, 64),
          integer_option(kExpandWhere, options, "multiple", 0, 1 << 20)};
}

int64_t larger_width(int64_t width, const ExpandOptions& options) {
  if (options.multiple > 0)
    return (width + options.multiple - 1) / options.multiple * options.multiple;
  return kernel::larger_hadamard_orders(width, options.steps)
      .at(static_cast<size_t>(options.steps - 1));
}

at::Tensor padded(const at::Tensor& stored, int64_t dim, int64_t more) {
  if (stored.dim() == 1 || dim == 1) return at::constant_pad_nd(stored, {0, more});
  return at::constant_pad_nd(stored, {0, 0, 0, more});
}

/// The configurations of the architectures call the width of an MLP by one of these.
bool is_width_in_config(FloatNetwork& network, int64_t width) {
  for (const char* key : {"intermediate_size", "n_inner", "ffn_dim", "moe_intermediate_size"})
    if (put_in_config(network, {{key, width}})) return true;
  return false;
}

}  // namespace

TransformReport expand(FloatNetwork& network, const nlohmann::json& given) {
  const ExpandOptions options = read_expand(given);
  TransformReport report{"expand", {}, {}};
  Changes changes;
  std::set<int64_t> before, after;
  int64_t regions = 0;
  for (const ElementwiseRegion& region : find_elementwise_regions(network)) {
    const int64_t wide = larger_width(region.width, options), more = wide - region.width;
    before.insert(region.width);
    after.insert(wide);
    ++regions;
    if (more == 0) continue;
    const auto pad = [more](const at::Tensor& stored, int64_t dim) {
      return padded(stored, dim, more);
    };
    lengthen(network, region, more, pad, pad, changes);
  }
  if (regions == 0)
    report.fallbacks.emplace_back(
        "nothing is expanded: no layer reads features that come element by element from rows of "
        "others.");
  if (changes.empty()) return report;
  change_parameters(network, std::move(changes));
  report.done.push_back("inputs of " + std::to_string(regions) + " layers have " +
                        std::to_string(*after.rbegin()) + " features instead of " +
                        std::to_string(*before.rbegin()) + (before.size() > 1 ? " at most." : "."));
  if (after.size() == 1 && is_width_in_config(network, *after.begin())) return report;
  network.graph_changes.emplace_back("expand");
  report.fallbacks.emplace_back(
      "config.json has no word for these widths: the directory holds the graph, which exports "
      "refuse.");
  return report;
}

void check_expand(const nlohmann::json& options) { read_expand(options); }

nlohmann::json expand_defaults() { return {{"steps", 1}, {"multiple", 0}}; }

}  // namespace laconic::transform
