#include "laconic/graph/save.h"

#include <nlohmann/json.hpp>

#include "laconic/file/json/json.h"
#include "laconic/file/safetensors/safetensors.h"
#include "laconic/graph/argument_json.h"
#include "laconic/graph/operators.h"
#include "laconic/graph/resolve.h"
#include "laconic/quant/quantizer/json.h"

namespace laconic::graph {
namespace {

using Json = nlohmann::json;

constexpr const char* kMetadata = "laconic.graph";
constexpr int64_t kVersion = 1;

struct KindName {
  NodeKind kind;
  const char* name;
};
constexpr KindName kKinds[] = {
    {NodeKind::kInput, "input"},   {NodeKind::kParameter, "parameter"},
    {NodeKind::kCall, "call"},     {NodeKind::kQuantize, "quantize"},
    {NodeKind::kOutput, "output"},
};

Json node_json(const Graph& graph, NodeId id, TensorTable& tensors) {
  const Node& node = graph.nodes[id];
  Json json;
  for (const KindName& row : kKinds)
    if (row.kind == node.kind) json["kind"] = row.name;
  json["target"] = node.target;
  json["module"] = node.module;
  json["arguments"] = Json::array();
  for (size_t i = 0; i < node.arguments.size(); ++i) {
    const std::string name = "node." + std::to_string(id) + "." + std::to_string(i);
    json["arguments"].push_back(to_json(node.arguments[i], name, tensors));
  }
  return json;
}

std::string scale_name(const std::string& key) { return "quantizer." + key + ".scale"; }
std::string zero_point_name(const std::string& key) { return "quantizer." + key + ".zero_point"; }

Json quantizer_json(const std::string& key, const Quantizer& quantizer, TensorTable& tensors) {
  if (quantizer.parameters) {
    tensors.emplace(scale_name(key), quantizer.parameters->scale);
    if (quantizer.parameters->zero_point.defined())
      tensors.emplace(zero_point_name(key), quantizer.parameters->zero_point);
  }
  return {{"spec", laconic::to_json(quantizer.spec)},
          {"has_parameters", quantizer.parameters.has_value()}};
}

/// The file being read.
struct Source {
  std::string where;
  TensorTable tensors;

  const Json& field(const Json& json, const std::string& at, const char* key) const {
    TORCH_CHECK_VALUE(json.is_object() && json.contains(key), "[", where, "] ", at,
                      ": expected a field \"", key, "\", got none.");
    return json.at(key);
  }
  std::string text(const Json& json, const std::string& at, const char* key) const {
    const Json& value = field(json, at, key);
    TORCH_CHECK_VALUE(value.is_string(), "[", where, "] ", at, ": \"", key,
                      "\": expected a text, got a ", value.type_name(), ".");
    return value.get<std::string>();
  }
};

/// A graph that was traced calls only operators that give new tensors.
void check_call(const Source& source, const std::string& at, const Node& node) {
  const auto op = c10::Dispatcher::singleton().findSchema(operator_name(node.target));
  TORCH_CHECK_VALUE(op, "[", source.where, "] ", at, ": unknown operator \"", node.target,
                    "\". Register it before the graph is loaded.");
  TORCH_CHECK_VALUE(!op->schema().is_mutable() && node.target != "aten::from_file", "[",
                    source.where, "] ", at, ": ", node.target,
                    " writes or opens files: expected operators that only compute.");
  TORCH_CHECK_VALUE(op->schema().arguments().size() == node.arguments.size(), "[", source.where,
                    "] ", at, ": ", node.target, ": expected ", op->schema().arguments().size(),
                    " arguments, got ", node.arguments.size(), ".");
}

Node read_node(const Source& source, const Json& json, NodeId id) {
  const std::string at = "node " + std::to_string(id);
  const std::string kind = source.text(json, at, "kind");
  Node node{NodeKind::kCall, source.text(json, at, "target"), source.text(json, at, "module"), {}};
  bool known = false;
  for (const KindName& row : kKinds)
    if (kind == row.name) node.kind = row.kind, known = true;
  TORCH_CHECK_VALUE(known, "[", source.where, "] ", at, ": unknown kind \"", kind,
                    "\": expected input, parameter, call, quantize or output.");
  const Json& arguments = source.field(json, at, "arguments");
  TORCH_CHECK_VALUE(arguments.is_array(), "[", source.where, "] ", at,
                    ": expected a list of arguments.");
  for (const Json& argument : arguments)
    node.arguments.push_back(
        argument_from_json(argument, "[" + source.where + "] " + at, source.tensors));
  if (node.kind == NodeKind::kCall) check_call(source, at, node);
  return node;
}

Quantizer read_quantizer(const Source& source, const std::string& key, const Json& json) {
  const std::string at = "quantizer \"" + key + "\"";
  Quantizer result;
  try {
    result.spec = quant_spec_from_json(source.field(json, at, "spec"), source.where + ": " + at);
  } catch (c10::Error& error) {
    error.add_context("in " + source.where + ": " + at);
    throw;
  }
  const Json& has = source.field(json, at, "has_parameters");
  TORCH_CHECK_VALUE(has.is_boolean(), "[", source.where, "] ", at,
                    ": \"has_parameters\": expected true or false.");
  if (!has.get<bool>()) return result;
  const auto scale = source.tensors.find(scale_name(key));
  const bool good = scale != source.tensors.end() && scale->second.is_floating_point() &&
                    scale->second.isfinite().all().item<bool>() &&
                    scale->second.gt(0).all().item<bool>();
  TORCH_CHECK_VALUE(good, "[", source.where, "] ", at, ": expected a tensor \"", scale_name(key),
                    "\" of finite numbers above 0.");
  result.parameters = QuantParameters{scale->second, {}};
  const auto zero_point = source.tensors.find(zero_point_name(key));
  if (zero_point != source.tensors.end()) result.parameters->zero_point = zero_point->second;
  return result;
}

Source open(const std::filesystem::path& path, Json& document) {
  const auto file = SafetensorsFile::open(path);
  const auto text = file->metadata().find(kMetadata);
  TORCH_CHECK_VALUE(text != file->metadata().end(), "[", path.string(), "] no metadata \"",
                    kMetadata, "\": expected a file that save_graph wrote.");
  document = parse_json(text->second, "[" + path.string() + "] " + kMetadata);
  Source source{path.string(), {}};
  // Copies: the mapped file may change or go while the graph lives.
  for (const SafetensorsEntry& entry : file->entries())
    source.tensors.emplace(entry.name, file->tensor(entry.name).clone());
  const Json& version = source.field(document, "the graph", "format_version");
  TORCH_CHECK_VALUE(version == kVersion, "[", path.string(), "] format_version: expected ",
                    kVersion, ", got ", version.dump(), ". Update Laconic.");
  return source;
}

}  // namespace

void save_graph(const Graph& graph, const std::filesystem::path& path) {
  graph.check();
  TensorTable tensors;
  Json json{{"format_version", kVersion}, {"nodes", Json::array()}, {"quantizers", Json::object()}};
  for (NodeId id = 0; id < graph.size(); ++id)
    json["nodes"].push_back(node_json(graph, id, tensors));
  for (const auto& [key, quantizer] : graph.quantizers)
    json["quantizers"][key] = quantizer_json(key, quantizer, tensors);
  std::vector<std::pair<std::string, at::Tensor>> list;
  for (const auto& [name, tensor] : tensors)
    list.emplace_back(name, tensor.detach().to(at::kCPU).contiguous());
  write_safetensors(path, list, {{kMetadata, json.dump()}});
}

Graph load_graph(const std::filesystem::path& path) {
  register_operators();
  Json document;
  const Source source = open(path, document);
  const Json& nodes = source.field(document, "the graph", "nodes");
  const Json& quantizers = source.field(document, "the graph", "quantizers");
  TORCH_CHECK_VALUE(nodes.is_array() && quantizers.is_object(), "[", source.where,
                    "] expected a list of nodes and an object of quantizers.");
  Graph graph;
  for (const Json& node : nodes) graph.nodes.push_back(read_node(source, node, graph.size()));
  for (const auto& [key, quantizer] : quantizers.items())
    graph.quantizers.emplace(key, read_quantizer(source, key, quantizer));
  try {
    graph.check();
  } catch (c10::Error& error) {
    error.add_context("in " + source.where);
    throw;
  }
  return graph;
}

}  // namespace laconic::graph
