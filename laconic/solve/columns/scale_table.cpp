#include "laconic/solve/columns/scale_table.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>

#include <variant>

#include "laconic/base/assert.h"
#include "laconic/base/variant.h"

namespace laconic::columns {
namespace {

int64_t positive_axis(int64_t axis) { return axis < 0 ? axis + 2 : axis; }

/// [out, groups] or [out, in] of a scale or zero point in its own shape.
at::Tensor table_of(const QuantSpec& spec, const at::Tensor& value, const at::Tensor& weight) {
  const int64_t rows = weight.size(0), columns = weight.size(1);
  const at::Tensor x = value.to(at::kFloat);
  return std::visit(
      Overloaded{
          [&](const PerTensor&) {
            return x.reshape({1, 1}).expand({rows, 1});
          },
          [&](const PerChannel& part) {
            return positive_axis(part.axis) == 0 ? x.reshape({rows, 1})
                                                 : x.reshape({1, columns}).expand({rows, columns});
          },
          [&](const PerGroup& part) {
            if (positive_axis(part.axis) == 1) return x.reshape({rows, -1});
            return x.reshape({-1, columns})
                .repeat_interleave(part.group_size, 0)
                .narrow(0, 0, rows);
          },
          [&](const PerToken&) -> at::Tensor { LACONIC_ASSERT(false, "a weight has no tokens."); },
          [&](const auto& part) {
            // One scale an element is the common ground of all layouts.
            return spread(x, weight.sizes(), part);
          },
      },
      spec.granularity);
}

}  // namespace

int64_t input_group_size(const QuantSpec& spec) {
  const auto* group = std::get_if<PerGroup>(&spec.granularity);
  return group != nullptr && positive_axis(group->axis) == 1 ? group->group_size : 0;
}

ScaleTable make_scale_table(const QuantSpec& spec, const QuantParameters& parameters,
                            const at::Tensor& weight) {
  ScaleTable table{table_of(spec, parameters.scale, weight), {}, {}, {}};
  if (parameters.zero_point.defined()) {
    table.zero_point = table_of(spec, parameters.zero_point, weight).expand_as(table.scale);
  }
  if (parameters.choice.defined()) table.choice = table_of(spec, parameters.choice, weight);
  const int64_t columns = weight.size(1), size = input_group_size(spec);
  const auto options = weight.options().dtype(at::kLong);
  if (size > 0) {
    table.group = at::arange(columns, options).floor_divide(size);
  } else {
    table.group =
        table.scale.size(1) == 1 ? at::zeros({columns}, options) : at::arange(columns, options);
  }
  return table;
}

}  // namespace laconic::columns
