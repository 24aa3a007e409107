#include "laconic/graph/traceable.h"

#include <ATen/core/enum_tag.h>

#include <algorithm>

#include "laconic/graph/resolve.h"

namespace laconic::graph {
namespace {

/// The call seen by names of its arguments.
struct Call {
  const c10::OperatorHandle& op;
  const torch::jit::Stack& arguments;
  const std::string& where;

  const c10::IValue* find(const char* name) const {
    const auto& schema = op.schema().arguments();
    for (size_t i = 0; i < schema.size(); ++i)
      if (schema[i].name() == name) return &arguments[i];
    return nullptr;
  }
  bool is_true(const char* name) const {
    const c10::IValue* value = find(name);
    return value != nullptr && value->isBool() && value->toBool();
  }
  std::string name() const { return toString(op.operator_name()); }
};

void check_not_random(const Call& call) {
  for (const c10::IValue& value : call.arguments)
    TORCH_CHECK_VALUE(!value.isGenerator(), call.where, call.name(),
                      " is random: expected no generator.");
  if (!call.op.hasTag(at::Tag::nondeterministic_seeded)) return;
  for (const char* name : {"dropout_p", "p"}) {
    const c10::IValue* rate = call.find(name);
    if (rate != nullptr && rate->isDouble() && rate->toDouble() == 0.0) return;
  }
  for (const char* name : {"train", "training"})
    if (call.find(name) != nullptr && !call.is_true(name)) return;
  TORCH_CHECK_VALUE(false, call.where, call.name(),
                    " is random: expected none in a traced network. Call eval() on the module "
                    "before.");
}

void check_no_batch_statistics(const Call& call) {
  const c10::IValue* mean = call.find("running_mean");
  if (mean == nullptr || !mean->isTensor() || !mean->toTensor().defined()) return;
  TORCH_CHECK_VALUE(!call.is_true("training") && !call.is_true("use_input_stats"), call.where,
                    call.name(),
                    " changes its running statistics: expected those of training to "
                    "be used. Call eval() on the module before.");
}

bool has_mask(const Call& call) {
  const c10::IValue* indices = call.find("indices");
  if (indices == nullptr || !indices->isOptionalTensorList()) return true;
  return std::any_of(indices->toListRef().begin(), indices->toListRef().end(), [](const auto& i) {
    if (i.isNone()) return false;
    const at::ScalarType type = i.toTensor().scalar_type();
    return type == at::kBool || type == at::kByte;
  });
}

void check_no_values(const Call& call) {
  const bool looks =
      call.op.hasTag(at::Tag::data_dependent_output) || call.name() == "aten::is_nonzero";
  TORCH_CHECK_VALUE(!looks, call.where, call.name(),
                    " asks for a number in a tensor, which is another for each input: expected "
                    "operators on tensors. Write the choice with where, clamp, masked_fill, ... .");
  TORCH_CHECK_VALUE(!call.op.hasTag(at::Tag::dynamic_output_shape) || !has_mask(call), call.where,
                    call.name(),
                    " gives a shape that depends on the numbers of a tensor: expected "
                    "shapes that follow from the shape of the input. Use where or masked_fill.");
}

}  // namespace

void check_traceable(const c10::OperatorHandle& op, const torch::jit::Stack& arguments,
                     const std::string& where) {
  const Call call{op, arguments, where};
  check_not_random(call);
  check_no_values(call);
  check_no_batch_statistics(call);
  for (const c10::Argument& argument : op.schema().arguments())
    TORCH_CHECK_VALUE(!argument.is_out(), where, call.name(), " writes into a given tensor (\"",
                      argument.name(), "\"): expected a result. Use the form without out=.");
}

bool is_written(const c10::Argument& argument) {
  const auto* alias = argument.alias_info();
  return alias != nullptr && alias->isWrite();
}

std::optional<std::string> functional_form(const c10::OperatorHandle& op) {
  c10::OperatorName name = op.operator_name();
  if (!name.name.ends_with("_")) return std::nullopt;
  name.name.pop_back();
  const auto found = c10::Dispatcher::singleton().findSchema(name);
  const bool fits = found && !found->schema().is_mutable() &&
                    found->schema().arguments().size() == op.schema().arguments().size();
  return fits ? std::optional(toString(name)) : std::nullopt;
}

}  // namespace laconic::graph
