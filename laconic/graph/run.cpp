#include "laconic/graph/run.h"

#include <ATen/core/jit_type.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "laconic/base/assert.h"
#include "laconic/base/interrupt.h"
#include "laconic/graph/operators.h"
#include "laconic/graph/resolve.h"
#include "laconic/quant/quantizer/deferred_checks.h"
#include "laconic/quant/quantizer/on_device.h"
#include "laconic/quant/quantizer/quantize.h"

namespace laconic::graph {
namespace {

constexpr NodeId kForever = std::numeric_limits<NodeId>::max();

/// How one argument gets onto the stack.
struct Feed {
  enum class Kind { kConstant, kSlot, kSize, kTensors, kOptionalTensors, kInts };
  Kind kind = Kind::kConstant;
  c10::IValue constant;
  int32_t slot = -1;
  Size size;
  std::vector<Feed> list;
};

struct Step {
  std::optional<c10::OperatorHandle> op;
  std::vector<Feed> feeds;
  std::vector<int32_t> frees;  ///< slots whose last use is here
  int32_t first_slot = 0, slots = 0;
  bool flattens = false;  ///< a return is a list of tensors
  bool looks_up = false;  ///< rows of a parameter
};

}  // namespace

struct Runner::Plan {
  Graph graph;
  std::vector<Step> steps;
  std::vector<Value> values;     ///< of each slot
  std::vector<NodeId> last_use;  ///< of each slot
  NodeId input = -1;

  int32_t slot(const Value& value) const {
    const bool known = value.node >= 0 && value.node < graph.size() && value.output >= 0 &&
                       value.output < steps[value.node].slots;
    return known ? steps[value.node].first_slot + value.output : -1;
  }
  bool is_parameter(int32_t slot) const {
    return graph.nodes[values[slot].node].kind == NodeKind::kParameter;
  }

  void count_slots();
  void find_last_uses();
  void resolve(NodeId id);
  Feed feed(const Argument& argument, const c10::TypePtr& type) const;
};

void Runner::Plan::count_slots() {
  // A list of tensors has as many outputs as are used, so uses are counted, not returns.
  for (Step& step : steps) step.slots = 1;
  for (const Node& node : graph.nodes)
    for_each_value(node, [&](const Value& value) {
      steps[value.node].slots = std::max(steps[value.node].slots, value.output + 1);
    });
  for (NodeId id = 0; id < graph.size(); ++id) {
    steps[id].first_slot = static_cast<int32_t>(values.size());
    for (int32_t output = 0; output < steps[id].slots; ++output) values.push_back({id, output});
  }
}

void Runner::Plan::find_last_uses() {
  last_use.assign(values.size(), -1);
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.nodes[id];
    for_each_value(node, [&](const Value& value) { last_use[slot(value)] = id; });
    if (uses_size(node)) last_use[slot({input, 0})] = id;
    if (node.kind == NodeKind::kOutput) last_use[slot({id, 0})] = kForever;
  }
  for (int32_t slot = 0; slot < static_cast<int32_t>(values.size()); ++slot) {
    const NodeId last = last_use[slot] < 0 ? values[slot].node : last_use[slot];
    if (last != kForever) steps[last].frees.push_back(slot);
  }
}

Feed Runner::Plan::feed(const Argument& argument, const c10::TypePtr& type) const {
  Feed result;
  if (const auto* constant = std::get_if<c10::IValue>(&argument.data)) {
    const bool undefined = constant->isNone() && type->kind() == c10::TypeKind::TensorType;
    result.constant = undefined ? c10::IValue(at::Tensor()) : *constant;
  } else if (const auto* value = std::get_if<Value>(&argument.data)) {
    result.kind = Feed::Kind::kSlot;
    result.slot = slot(*value);
  } else if (const auto* size = std::get_if<Size>(&argument.data)) {
    result.kind = Feed::Kind::kSize;
    result.size = *size;
  } else {
    const auto inner = type->kind() == c10::TypeKind::OptionalType
                           ? type->castRaw<c10::OptionalType>()->getElementType()
                           : type;
    const auto* list = inner->castRaw<c10::ListType>();
    TORCH_CHECK_VALUE(list != nullptr,
                      "[Runner] a list of values: expected by no argument of type ", type->str(),
                      ".");
    const auto element = list->getElementType()->kind();
    result.kind = element == c10::TypeKind::TensorType     ? Feed::Kind::kTensors
                  : element == c10::TypeKind::OptionalType ? Feed::Kind::kOptionalTensors
                                                           : Feed::Kind::kInts;
    for (const Argument& item : std::get<ArgumentList>(argument.data))
      result.list.push_back(feed(item, list->getElementType()));
  }
  return result;
}

void Runner::Plan::resolve(NodeId id) {
  const Node& node = graph.nodes[id];
  Step& step = steps[id];
  if (node.kind != NodeKind::kCall) {
    for (const Argument& argument : node.arguments)
      step.feeds.push_back(feed(argument, c10::TensorType::get()));
    return;
  }
  step.op = c10::Dispatcher::singleton().findSchema(operator_name(node.target));
  TORCH_CHECK_VALUE(step.op, "[Runner] ", describe(graph, id),
                    ": unknown operator. Register it before.");
  const auto& schema = step.op->schema();
  TORCH_CHECK_VALUE(schema.arguments().size() == node.arguments.size(), "[Runner] ",
                    describe(graph, id), ": expected ", schema.arguments().size(), " arguments (",
                    schema, "), got ", node.arguments.size(), ".");
  for (size_t i = 0; i < node.arguments.size(); ++i)
    step.feeds.push_back(feed(node.arguments[i], schema.arguments()[i].type()));
  step.looks_up = node.target == "aten::embedding" && step.feeds[0].kind == Feed::Kind::kSlot &&
                  is_parameter(step.feeds[0].slot);
  for (const c10::Argument& output : schema.returns())
    step.flattens = step.flattens || output.type()->kind() == c10::TypeKind::ListType;
}

/// One run of one range.
class Runner::Frame {
 public:
  Frame(const Plan& plan, const Parameters& parameters, NodeId begin)
      : plan_(plan),
        parameters_(parameters),
        begin_(begin),
        slots_(plan.values.size()),
        kept_(plan.values.size()) {}

  void load(const Environment& environment) {
    for (const auto& [value, tensor] : environment) {
      const int32_t slot = plan_.slot(value);
      TORCH_CHECK_VALUE(slot >= 0, "[Runner] the environment holds %", value.node, ".",
                        value.output, ": expected a value that a node of the graph uses.");
      slots_[slot] = tensor;
    }
  }

  void keep(const std::vector<Value>& values) {
    for (const Value& value : values) {
      const int32_t slot = plan_.slot(value);
      TORCH_CHECK_VALUE(slot >= 0, "[Runner] cannot keep %", value.node, ".", value.output,
                        ": no such value.");
      kept_[slot] = true;
    }
  }

  void run(NodeId id);

  void compute_with(const std::map<NodeId, NodeFunction>& instead) { instead_ = &instead; }

  Environment collect(NodeId end) {
    Environment result;
    for (int32_t slot = 0; slot < static_cast<int32_t>(slots_.size()); ++slot) {
      if (slots_[slot].isNone()) continue;
      const Value& value = plan_.values[slot];
      const bool is_parameter = plan_.is_parameter(slot);
      if (kept_[slot] || (!is_parameter && plan_.last_use[slot] >= end))
        result.emplace(value, std::move(slots_[slot]).toTensor());
      if (is_parameter) parameters_.release(plan_.graph.nodes[value.node].target);
    }
    return result;
  }

 private:
  c10::IValue evaluate(const Feed& feed);
  const c10::IValue& slot(int32_t slot);
  int64_t evaluate(const Size& size);
  void call(NodeId id, const Step& step);
  at::Tensor look_up(const Step& step);
  at::Tensor quantized(const Step& step, const Quantizer& quantizer);
  void free(int32_t slot);

  const Plan& plan_;
  const Parameters& parameters_;
  NodeId begin_;
  std::vector<c10::IValue> slots_;
  std::vector<bool> kept_;
  const std::map<NodeId, NodeFunction>* instead_ = nullptr;
  torch::jit::Stack stack_;
};

const c10::IValue& Runner::Frame::slot(int32_t slot) {
  c10::IValue& value = slots_[slot];
  if (!value.isNone()) [[likely]]
    return value;
  const NodeId made_by = plan_.values[slot].node;
  // A parameter is never carried from range to range: it is fetched where it is used.
  if (plan_.is_parameter(slot)) value = parameters_.get(plan_.graph.nodes[made_by].target);
  TORCH_CHECK_VALUE(!value.isNone(), "[Runner] ", describe(plan_.graph, made_by),
                    " is not in the environment: ", "expected every value of live_before(", begin_,
                    "). Run the nodes before, or give the value.");
  return value;
}

int64_t Runner::Frame::evaluate(const Size& size) {
  const at::Tensor& input = slot(plan_.slot({plan_.input, 0})).toTensor();
  TORCH_CHECK_VALUE(input.dim() >= 2, "[Runner] the input: expected [batch, length, ...], got ",
                    input.sizes(), ".");
  int64_t result = size.factor;
  for (int32_t i = 0; i < size.batch_power; ++i) result *= input.size(0);
  for (int32_t i = 0; i < size.length_power; ++i) result *= input.size(1);
  return result;
}

c10::IValue Runner::Frame::evaluate(const Feed& feed) {
  switch (feed.kind) {
    case Feed::Kind::kConstant:
      return feed.constant;
    case Feed::Kind::kSlot:
      return slot(feed.slot);
    case Feed::Kind::kSize:
      return evaluate(feed.size);
    case Feed::Kind::kTensors: {
      c10::List<at::Tensor> list;
      for (const Feed& item : feed.list) list.push_back(evaluate(item).toTensor());
      return list;
    }
    case Feed::Kind::kOptionalTensors: {
      c10::List<std::optional<at::Tensor>> list;
      for (const Feed& item : feed.list) list.push_back(evaluate(item).toOptional<at::Tensor>());
      return list;
    }
    case Feed::Kind::kInts: {
      std::vector<int64_t> list;
      for (const Feed& item : feed.list) list.push_back(evaluate(item).toInt());
      return list;
    }
  }
  LACONIC_ASSERT(false, "a feed of no kind");
}

/// An embedding asks for the rows that it needs: a vocabulary's table can be larger than a block.
at::Tensor Runner::Frame::look_up(const Step& step) {
  const std::string& name = plan_.graph.nodes[plan_.values[step.feeds[0].slot].node].target;
  const at::Tensor indices = evaluate(step.feeds[1]).toTensor();
  const at::Tensor rows = parameters_.rows(name, indices.reshape({-1}));
  parameters_.release(name);
  auto shape = indices.sizes().vec();
  shape.push_back(rows.size(-1));
  return rows.reshape(shape);
}

void Runner::Frame::call(NodeId id, const Step& step) {
  if (step.looks_up && slots_[step.feeds[0].slot].isNone()) {
    slots_[step.first_slot] = look_up(step);
    return;
  }
  stack_.clear();
  for (const Feed& feed : step.feeds) stack_.push_back(evaluate(feed));
  if (instead_ != nullptr) {
    if (const auto found = instead_->find(id); found != instead_->end()) {
      slots_[step.first_slot] = found->second(stack_);
      return;
    }
  }
  step.op->callBoxed(&stack_);
  int32_t output = 0;
  const auto put = [&](c10::IValue value) {
    if (output < step.slots) slots_[step.first_slot + output] = std::move(value);
    ++output;
  };
  for (c10::IValue& value : stack_) {
    if (step.flattens && value.isTensorList())
      for (const c10::IValue& item : value.toListRef()) put(item);
    else
      put(std::move(value));
  }
}

at::Tensor Runner::Frame::quantized(const Step& step, const Quantizer& quantizer) {
  const at::Tensor x = slot(step.feeds[0].slot).toTensor();
  if (quantizer.parameters)
    return fake_quantize(quantizer.spec, x, on_device(*quantizer.parameters, x.device()));
  if (step.feeds.size() == 1) return fake_quantize_dynamic(quantizer.spec, x);
  QuantParameters parameters{slot(step.feeds[1].slot).toTensor(), {}};
  if (step.feeds.size() > 2) parameters.zero_point = slot(step.feeds[2].slot).toTensor();
  return fake_quantize(quantizer.spec, x, parameters);
}

void Runner::Frame::free(int32_t slot) {
  if (kept_[slot]) return;
  const bool release = plan_.is_parameter(slot) && !slots_[slot].isNone();
  slots_[slot] = c10::IValue();
  if (release) parameters_.release(plan_.graph.nodes[plan_.values[slot].node].target);
}

void Runner::Frame::run(NodeId id) {
  const Node& node = plan_.graph.nodes[id];
  const Step& step = plan_.steps[id];
  switch (node.kind) {
    case NodeKind::kInput:
      slot(step.first_slot);
      break;
    case NodeKind::kParameter:
      break;
    case NodeKind::kCall:
      call(id, step);
      break;
    case NodeKind::kOutput:
      slots_[step.first_slot] = slot(step.feeds[0].slot);
      break;
    case NodeKind::kQuantize: {
      const Quantizer& quantizer = plan_.graph.quantizers.at(node.target);
      slots_[step.first_slot] = quantized(step, quantizer);
      break;
    }
  }
  for (const int32_t slot : step.frees) free(slot);
}

Runner::Runner(Graph graph) {
  register_operators();
  graph.check();
  auto plan = std::make_shared<Plan>();
  plan->graph = std::move(graph);
  plan->input = plan->graph.input();
  plan->steps.resize(plan->graph.nodes.size());
  plan->count_slots();
  plan->find_last_uses();
  for (NodeId id = 0; id < plan->graph.size(); ++id) plan->resolve(id);
  plan_ = std::move(plan);
}

const Graph& Runner::graph() const { return plan_->graph; }

void Runner::run(NodeId begin, NodeId end, const Parameters& parameters, Environment& environment,
                 const std::vector<Value>& keep) const {
  TORCH_CHECK_VALUE(0 <= begin && begin <= end && end <= plan_->graph.size(), "[Runner] range [",
                    begin, ", ", end, "): expected a part of [0, ", plan_->graph.size(), ").");
  Frame frame(*plan_, parameters, begin);
  frame.load(environment);
  frame.keep(keep);
  run_range(frame, begin, end);
  environment = frame.collect(end);
}

void Runner::run_range(Frame& frame, NodeId begin, NodeId end) const {
  NodeId id = begin;
  try {
    with_deferred_checks([&] {
      for (; id < end; ++id) {
        check_interrupt();
        frame.run(id);
      }
    });
  } catch (c10::Error& error) {
    const bool is_late = id == end;
    error.add_context("while running " + describe(plan_->graph, is_late ? begin : id) +
                      (is_late ? " and what follows" : ""));
    throw;
  }
}

at::Tensor Runner::operator()(const at::Tensor& input, const Parameters& parameters) const {
  Environment environment{{Value{plan_->input, 0}, input}};
  run(0, plan_->graph.size(), parameters, environment);
  return environment.at({plan_->graph.output(), 0});
}

at::Tensor Runner::run_with(const std::map<NodeId, NodeFunction>& instead, const at::Tensor& input,
                            const Parameters& parameters) const {
  Frame frame(*plan_, parameters, 0);
  frame.load({{Value{plan_->input, 0}, input}});
  frame.compute_with(instead);
  run_range(frame, 0, plan_->graph.size());
  return frame.collect(plan_->graph.size()).at({plan_->graph.output(), 0});
}

std::vector<Value> Runner::live_before(NodeId at) const {
  std::vector<Value> result;
  for (size_t slot = 0; slot < plan_->values.size(); ++slot) {
    const Value& value = plan_->values[slot];
    if (value.node < at && plan_->last_use[slot] >= at &&
        !plan_->is_parameter(static_cast<int32_t>(slot)))
      result.push_back(value);
  }
  return result;
}

}  // namespace laconic::graph
