#include "laconic/transform/rotate/rotation.h"

#include <ATen/ATen.h>

#include <memory>

#include "areas.h"
#include "laconic/graph/run.h"
#include "laconic/kernel/hadamard.h"
#include "laconic/transform/permute/permutation.h"
#include "laconic/transform/transform.h"
#include "options.h"

namespace laconic::golden {
namespace {

using graph::Node;
using graph::NodeKind;
using graph::Value;
using transform::FloatNetwork;

Answer hadamard_transform(const Case& item, Options& options) {
  const int64_t size = options.whole("dim", 1, 1 << 20), base = options.whole("base", 1, 172);
  Answer answer;
  const auto order = kernel::hadamard_order(size);
  if (!order || order->base != base) answer.failures.push_back("another base");
  if (item.has_input("base_matrix") &&
      !kernel::hadamard_base(base).equal(item.input("base_matrix").to(at::kFloat)))
    answer.failures.push_back("another base matrix");
  const auto x = item.input("x");
  answer.outputs["y"] = kernel::hadamard(x, size);
  answer.outputs["y_transposed"] = at::matmul(x, kernel::hadamard_matrix(size));
  return answer;
}

Answer base_matrices(const Case& item, Options& options) {
  options.ignore({"orders"});
  Answer answer;
  for (const auto& [name, reference] : item.outputs)
    answer.outputs[name] =
        kernel::hadamard_base(reference.shape.at(0)).to(item.read(name, reference).scalar_type());
  return answer;
}

Answer closest_sizes(const Case& item, Options& options) {
  options.ignore({"steps"});
  Answer answer;
  for (const auto& [size, expected] : item.expect.items()) {
    const auto found = kernel::larger_hadamard_orders(std::stoll(size), 2);
    if (nlohmann::json(found) != expected)
      answer.failures.push_back(size + ": got " + nlohmann::json(found).dump());
  }
  return answer;
}

Answer random_hadamard(const Case& item, Options& options) {
  const int64_t size = options.whole("dim", 1, 1 << 20);
  const transform::Rotation rotation{size, item.input("signs").to(at::kFloat), {}};
  Answer answer;
  answer.outputs["matrix"] = rotation.apply(at::eye(size));
  return answer;
}

Answer channel_permutation(const Case& item, Options& options) {
  const int64_t block = options.whole("block_size", 1, 1 << 20);
  const auto x = item.input("x");
  Answer answer;
  for (const auto& [name, reference] : item.outputs)
    answer.outputs[name] = transform::permutation(name, x.abs().amax(0), x.abs().mean(0), block)
                               .to(item.read(name, reference).scalar_type());
  return answer;
}

/// Builds a graph of calls, each a node after the other.
class GraphBuilder {
 public:
  explicit GraphBuilder(const Case& item) : item_(item) {
    input_ = add({NodeKind::kInput, "x", "", {}});
  }
  Value input() const { return input_; }
  Value call(const char* target, std::vector<graph::Argument> arguments) {
    return add({NodeKind::kCall, target, "", std::move(arguments)});
  }
  graph::Argument parameter(const std::string& name) {
    if (!item_.has_input(name)) return c10::IValue();
    table_[name] = item_.input(name);
    return add({NodeKind::kParameter, name, "", {}});
  }
  Value linear(const std::string& name, Value x) {
    const auto weight = parameter(name + ".weight"), bias = parameter(name + ".bias");
    const Value y = call("aten::linear", {x, weight, bias});
    graph_.nodes.back().module = name;
    return y;
  }
  Value norm(const std::string& name, Value x, const std::string& kind, int64_t width) {
    const auto gain = parameter(name + ".weight"), bias = parameter(name + ".bias");
    const c10::IValue shape = c10::List<int64_t>({width});
    if (kind == "rmsnorm") return call("aten::rms_norm", {x, shape, gain, c10::IValue(1e-6)});
    return call("aten::layer_norm", {x, shape, gain, bias, c10::IValue(1e-5), c10::IValue(true)});
  }
  FloatNetwork finish(Value result) {
    add({NodeKind::kOutput, "", "", {result}});
    return {std::move(graph_), std::make_shared<graph::ParameterTable>(std::move(table_))};
  }

 private:
  Value add(Node node) {
    graph_.nodes.push_back(std::move(node));
    return {graph_.size() - 1, 0};
  }
  const Case& item_;
  graph::Graph graph_;
  std::map<std::string, at::Tensor> table_;
  Value input_;
};

at::Tensor run(const FloatNetwork& network, const Case& item) {
  return graph::Runner(network.graph)(item.input("x"), *network.parameters);
}

Answer layerwise_rotation(const Case& item, Options& options) {
  options.whole("dim", 1, 1 << 20);
  const bool is_whole = !options.has("block_size");
  const int64_t block = is_whole ? 0 : options.whole("block_size", 1, 1 << 20);
  options.ignore({"block_size"});
  GraphBuilder builder(item);
  const Value hidden =
      builder.call("aten::gelu", {builder.linear("0", builder.input()), c10::IValue("none")});
  FloatNetwork network = builder.finish(builder.linear("2", hidden));
  Answer answer;
  answer.outputs["y_before"] = run(network, item);
  find_transform("rotate").apply(
      network, {{"residual", "none"}, {"heads", "none"}, {"online", true}, {"block_size", block}});
  answer.outputs["y_after"] = run(network, item);
  answer.outputs["rotated_weight"] = network.parameters->get("0.weight");
  return answer;
}

void record(const FloatNetwork& network, const std::string& stage, const Case& item,
            Answer& answer) {
  answer.outputs["y_" + stage] = run(network, item);
  for (const auto& [role, reference] : item.outputs) {
    if (!role.starts_with(stage + ".")) continue;
    std::string name = role.substr(stage.size() + 1);
    if (name.ends_with("had_mat")) {
      answer.outputs[role] = kernel::hadamard_base(reference.shape.at(0));
      continue;
    }
    if (const size_t at = name.find(".layer."); at != std::string::npos) name.erase(at, 6);
    answer.outputs[role] = network.parameters->get(name);
  }
}

Answer graph_rotation(const Case& item, Options& options) {
  const auto norm = options.word("norm", {"rmsnorm", "layernorm"});
  const auto matrix = options.word("matrix", {"hadamard"});
  const int64_t width = options.whole("width", 1, 1 << 20);
  const bool online = options.flag("online_rotation_of_unmatched_layers", false);
  options.ignore({"network", "hidden"});
  GraphBuilder builder(item);
  const Value stream = builder.linear("emb", builder.input());
  const Value up = builder.linear("up", builder.norm("norm", stream, norm, width));
  const Value active = builder.call("aten::gelu", {up, c10::IValue("none")});
  const Value sum =
      builder.call("aten::add.Tensor", {stream, builder.linear("down", active), c10::IValue(1)});
  FloatNetwork network =
      builder.finish(builder.linear("head", builder.norm("fnorm", sum, norm, width)));
  Answer answer;
  answer.outputs["y_before"] = run(network, item);
  find_transform("fold_norms").apply(network, nlohmann::json::object());
  record(network, "merged", item, answer);
  if (norm == "layernorm") record(network, "rms", item, answer);
  find_transform("rotate").apply(network,
                                 {{"residual", matrix}, {"heads", "none"}, {"online", online}});
  record(network, "rotated", item, answer);
  // What a norm without parameters does not read.
  for (const char* name : {"norm.weight", "norm.bias", "fnorm.weight", "fnorm.bias"})
    for (const char* stage : {"merged.", "rotated."})
      if (norm == "layernorm") answer.not_compared.push_back(std::string(stage) + name);
  return answer;
}

}  // namespace

Answer answer_rotation(const Case& item) {
  const at::NoGradGuard no_gradient;
  Options options(item.options);
  Answer answer;
  if (item.op == "hadamard_transform")
    answer = hadamard_transform(item, options);
  else if (item.op == "hadamard_base_matrices")
    answer = base_matrices(item, options);
  else if (item.op == "closest_hadamard_size")
    answer = closest_sizes(item, options);
  else if (item.op == "random_hadamard")
    answer = random_hadamard(item, options);
  else if (item.op == "channel_permutation")
    answer = channel_permutation(item, options);
  else if (item.op == "layerwise_rotation")
    answer = layerwise_rotation(item, options);
  else if (item.op == "graph_rotation")
    answer = graph_rotation(item, options);
  else
    TORCH_CHECK_VALUE(false, "op: unknown value ", item.op, ".");
  options.finish();
  return answer;
}

}  // namespace laconic::golden
