#include "laconic/runtime/cached_decoder.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/cat.h>
#include <c10/core/InferenceMode.h>

#include <set>

#include "laconic/graph/operators.h"
#include "laconic/graph/resolve.h"
#include "laconic/graph/rewrite.h"

namespace laconic {
namespace {

using graph::Graph;
using graph::Node;
using graph::NodeId;
using graph::NodeKind;
using graph::Value;

/// attention_recent(q, k, v, k_recent, v_recent, recent, scale, window, softcap) beside
/// attention(q, k, v, scale, window, softcap).
constexpr const char* kAttention = "laconic::attention";
constexpr const char* kAttentionRecent = "laconic::attention_recent";
/// attention_shares(q, k, scale, window, softcap) and attend(shares, v).
constexpr const char* kShares = "laconic::attention_shares";
constexpr const char* kAttend = "laconic::attend";

bool is_call(const Node& node, const std::set<std::string>& targets) {
  return node.kind == NodeKind::kCall && targets.contains(node.target);
}

/// What attention reads past a quantizer, if there is one: no other operator reads the result.
std::optional<QuantSpec> take_quantizer(Graph& graph, Node& node, size_t argument) {
  const auto* value = std::get_if<Value>(&node.arguments.at(argument).data);
  if (value == nullptr || graph.at(value->node).kind != NodeKind::kQuantize) return std::nullopt;
  const Node& quantize = graph.at(value->node);
  const graph::Quantizer& quantizer = graph.quantizers.at(quantize.target);
  TORCH_CHECK_VALUE(!quantizer.parameters && quantize.arguments.size() == 1, "[decode] ",
                    quantize.target, ": expected a scale that is found for each token, got a ",
                    "static one. Use a dynamic quantizer for the cache.");
  const QuantSpec spec = quantizer.spec;
  node.arguments[argument] = quantize.arguments[0];
  return spec;
}

/// A size of heads that every usual size of groups divides.
constexpr int64_t kManyDivisors = 6720;

/// Tokens are cached one by one, so none may change what another becomes.
void check_tokens(const QuantSpec& spec, const std::string& where) {
  const auto shape = scale_shape({2, 4, 6, kManyDivisors}, spec.granularity);
  TORCH_CHECK_VALUE(shape.size() >= 4 && shape[0] == 2 && shape[2] == 6, "[decode] ", where,
                    ": expected a scale for each token (granularity token, or group of the last "
                    "axis), got ",
                    to_string(spec), ".");
}

/// How keys or values are kept that `node` reads as `argument`.
CachedKind take_kind(Graph& graph, Node& node, size_t argument, int64_t residual = 0) {
  CachedKind kind{take_quantizer(graph, node, argument), residual};
  if (kind.spec) check_tokens(*kind.spec, node.module);
  return kind;
}

int64_t constant_int(const Node& node, size_t argument) {
  return std::get<c10::IValue>(node.arguments.at(argument).data).toInt();
}

at::Tensor call(const Node& node, torch::jit::Stack& arguments) {
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(
      graph::operator_name(node.target).name.c_str(), "");
  op.callBoxed(&arguments);
  return arguments.back().toTensor();
}

}  // namespace

CachedDecoder::CachedDecoder(const Graph& given,
                             std::shared_ptr<const graph::Parameters> parameters)
    : parameters_(std::move(parameters)) {
  Graph graph = given;
  std::map<std::string, CachedKind> keys, values;  // by module
  const auto put = [](auto& kinds, const Node& node, CachedKind kind) {
    TORCH_CHECK_VALUE(kinds.emplace(node.module, std::move(kind)).second, "[decode] ", node.module,
                      ": expected one attention in a module, got two.");
  };
  for (Node& node : graph.nodes) {
    TORCH_CHECK_VALUE(
        node.target != "aten::scaled_dot_product_attention", "[decode] ", node.module,
        ": expected laconic::attention, got ", node.target,
        ": what it masks is not known. Write the model with laconic::graph::attention.");
    if (is_call(node, {kShares})) put(keys, node, take_kind(graph, node, 1));
    if (is_call(node, {kAttend})) put(values, node, take_kind(graph, node, 1));
    if (!is_call(node, {kAttention, kAttentionRecent})) continue;
    const int64_t residual = node.target == kAttentionRecent ? constant_int(node, 5) : 0;
    put(keys, node, take_kind(graph, node, 1, residual));
    put(values, node, take_kind(graph, node, 2, residual));
  }
  TORCH_CHECK_VALUE(!keys.empty() && keys.size() == values.size(),
                    "[decode] the graph has no attention: expected laconic::attention calls.");
  graph = graph::remove_unused(graph);
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.at(id);
    if (is_call(node, {kAttention, kAttentionRecent, kShares})) {
      attentions_.push_back({id, -1, keys.at(node.module), values.at(node.module)});
    } else if (is_call(node, {kAttend})) {
      attentions_.back().attend = id;
    } else if (is_call(node, {"laconic::rope", "laconic::rope_by_length", "laconic::rope_dynamic",
                              "laconic::positions"})) {
      moving_.push_back(id);
    }
  }
  runner_ = std::make_unique<graph::Runner>(std::move(graph));
}

bool CachedDecoder::must_begin_again(int64_t past, int64_t total) const {
  for (const NodeId id : moving_) {
    const Node& node = runner_->graph().at(id);
    if (node.target == "laconic::rope_by_length") {
      const int64_t original = constant_int(node, 3);
      if (past <= original && total > original) return true;
    }
    if (node.target == "laconic::rope_dynamic" && total > constant_int(node, 4)) return true;
  }
  return false;
}

struct Decoding::State {
  struct Cache {
    CachedTensor keys, values;
  };
  explicit State(const CachedDecoder& used) : decoder(used) { clear(); }

  void clear() {
    caches.clear();
    for (const auto& attention : decoder.attentions_)
      caches.push_back({CachedTensor(attention.keys), CachedTensor(attention.values)});
  }

  at::Tensor attend(Cache& cache, const Node& node, torch::jit::Stack& arguments);
  void put_instead(Cache& cache, const CachedDecoder::Attention& attention,
                   std::map<NodeId, graph::NodeFunction>& instead);
  at::Tensor run(const at::Tensor& input, int64_t past);

  const CachedDecoder& decoder;
  at::Tensor ids;  ///< [batch, length] so far
  std::vector<Cache> caches;
};

at::Tensor Decoding::State::attend(Cache& cache, const Node& node, torch::jit::Stack& arguments) {
  const bool has_recent = node.target == kAttentionRecent;
  const size_t after = has_recent ? 6 : 3;
  const at::Tensor q = arguments[0].toTensor();
  cache.keys.append(arguments[1].toTensor());
  cache.values.append(arguments[2].toTensor());
  const double scale = arguments[after].toDouble();
  const auto window = arguments[after + 1].toOptional<int64_t>();
  const auto softcap = arguments[after + 2].toOptional<double>();
  at::Tensor mixed;
  if (!has_recent) {
    mixed = graph::attention(q, cache.keys.quantized(), cache.values.quantized(), scale, window,
                             softcap);
  } else if (q.size(2) == 1) {
    // One query sees each token in one form.
    mixed =
        graph::attention(q, cache.keys.recent(1), cache.values.recent(1), scale, window, softcap);
  } else {
    const int64_t queries = q.size(2);
    arguments[1] = cache.keys.quantized();
    arguments[2] = cache.values.quantized();
    arguments[3] = cache.keys.recent(queries);
    arguments[4] = cache.values.recent(queries);
    mixed = call(node, arguments);
  }
  const int64_t seen_later = window ? *window - 1 : cache.keys.count();
  cache.keys.keep_last(seen_later);
  cache.values.keep_last(seen_later);
  return mixed;
}

/// Attention in two halves: keys for the shares, values behind them.
void Decoding::State::put_instead(Cache& cache, const CachedDecoder::Attention& attention,
                                  std::map<NodeId, graph::NodeFunction>& instead) {
  const Graph& graph = decoder.runner_->graph();
  const Node& shares = graph.at(attention.node);
  if (attention.attend < 0) {
    instead[attention.node] = [this, &cache, &shares](torch::jit::Stack& arguments) {
      return attend(cache, shares, arguments);
    };
    return;
  }
  const auto window = std::get<c10::IValue>(shares.arguments.at(3).data).toOptional<int64_t>();
  const auto half = [window](CachedTensor& cached, const Node& node) {
    return [&cached, &node, window](torch::jit::Stack& arguments) {
      cached.append(arguments[1].toTensor());
      arguments[1] = cached.quantized();
      const at::Tensor result = call(node, arguments);
      if (window) cached.keep_last(*window - 1);
      return result;
    };
  };
  instead[attention.node] = half(cache.keys, shares);
  instead[attention.attend] = half(cache.values, graph.at(attention.attend));
}

at::Tensor Decoding::State::run(const at::Tensor& input, int64_t past) {
  const Graph& graph = decoder.runner_->graph();
  std::map<NodeId, graph::NodeFunction> instead;
  for (size_t i = 0; i < caches.size(); ++i)
    put_instead(caches[i], decoder.attentions_[i], instead);
  for (const NodeId id : decoder.moving_) {
    const Node& node = graph.at(id);
    instead[id] = [past, &node](torch::jit::Stack& arguments) {
      arguments.back() = arguments.back().toInt() + past;
      return call(node, arguments);
    };
  }
  return decoder.runner_->run_with(instead, input, *decoder.parameters_);
}

Decoding::Decoding(const CachedDecoder& decoder) : state_(std::make_unique<State>(decoder)) {}
Decoding::~Decoding() = default;
Decoding::Decoding(Decoding&&) noexcept = default;

at::Tensor Decoding::extend(const at::Tensor& ids) {
  const c10::InferenceMode no_gradients;
  const int64_t past = length();
  TORCH_CHECK_VALUE(ids.dim() == 2 && ids.size(1) > 0 && ids.scalar_type() == at::kLong &&
                        (past == 0 || ids.size(0) == state_->ids.size(0)),
                    "[decode] expected ids [batch, 1 or more] of int64",
                    past == 0 ? "" : " of the same batch", ", got ", ids.sizes(), ".");
  state_->ids = past == 0 ? ids.clone() : at::cat({state_->ids, ids}, 1);
  if (past == 0 || !state_->decoder.must_begin_again(past, past + ids.size(1)))
    return state_->run(ids, past);
  state_->clear();
  return state_->run(state_->ids, 0).narrow(1, past, ids.size(1));
}

int64_t Decoding::length() const { return state_->ids.defined() ? state_->ids.size(1) : 0; }

uint64_t Decoding::bytes() const {
  uint64_t bytes = 0;
  for (const auto& cache : state_->caches) bytes += cache.keys.bytes() + cache.values.bytes();
  return bytes;
}

}  // namespace laconic
