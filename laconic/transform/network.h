#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "laconic/calibrate/activation_store.h"
#include "laconic/graph/graph.h"
#include "laconic/graph/match.h"
#include "laconic/graph/parameters.h"
#include "laconic/graph/rewrite.h"

namespace laconic {
class StatisticsStore;
}

namespace laconic::transform {

/// What is known of the job beside the network.
struct TransformContext {
  at::Tensor windows = {};  ///< [n, length] int64 ids of the calibration text
  /// By layer: what its weight will be quantized by, and its input, if it will.
  std::map<std::string, QuantSpec> weights = {}, inputs = {};
  /// In place of the windows: of the inputs of the network before any transform; may be null.
  const StatisticsStore* statistics = nullptr;
  int64_t batch = 4;         ///< windows at once, at most; transform_model lowers it to its plan
  uint64_t host_memory = 0;  ///< EngineOptions::host_memory
  /// Where the network runs and what is made of its numbers is searched for; what a transform puts
  /// into the network, and the windows above, lie in main memory.
  at::Device device = at::kCPU;
  uint64_t device_memory = 0;  ///< EngineOptions::device_memory
  bool progress = false;       ///< shown for what takes long
  /// Where the windows wait; on disk (in `working`) when the plan says so.
  ActivationPlace place = {};
  std::filesystem::path working = {};  ///< a directory for files without a name
};

/// A network that is rewritten: a graph and where its numbers come from.
struct FloatNetwork {
  graph::Graph graph;
  std::shared_ptr<const graph::Parameters> parameters;
  std::set<std::string> changed = {};  ///< parameters that are other than at first, or new
  std::vector<std::string> graph_changes =
      {};                         ///< transforms after which a file must hold the graph
  bool untied = false;            ///< a head got a weight of its own
  TransformContext context = {};  ///< for transforms that look at it
  nlohmann::json config = {};     ///< config.json of the model; null: it is not known
};

/// Says other sizes in the network's configuration, where it then describes the graph: the same
/// parameters with the same shapes. @returns whether it does; else the configuration stays.
bool put_in_config(FloatNetwork& network, const nlohmann::json& fields);

/// How a parameter comes from those below: a pure function, called whenever the parameter is read,
/// so that a changed network needs no more memory than the first one.
struct Change {
  std::vector<std::string> reads;  ///< names that `compute` gets from below
  std::function<at::Tensor(const graph::Parameters& below)> compute;
  graph::Description description;
};
using Changes = std::map<std::string, Change>;

/// A parameter that is this tensor, whatever lies below.
/// @param dtype  that it is stored in.
Change constant_change(const at::Tensor& tensor, at::ScalarType dtype = at::kFloat);

/// Puts changes over the network's parameters.
void change_parameters(FloatNetwork& network, Changes changes);

/// The name of the parameter that an argument is; empty when it is none.
std::string parameter_of(const graph::Graph& graph, const graph::Argument& argument);

/// The bias parameter of a linear layer.
struct Bias {
  std::string name;      ///< empty when there is none
  bool is_plain = true;  ///< none, or a parameter (not something computed)
};
/// Who reads the parameters of a graph, found once: its nodes stay where they are meanwhile.
class ParameterReaders {
 public:
  explicit ParameterReaders(const graph::Graph& graph);

  /// The nodes that use a parameter.
  const std::vector<graph::NodeId>& of(const std::string& parameter) const;
  Bias bias_of(const graph::LinearLayer& layer) const;
  /// Whether only this layer reads its weight (through its transposition).
  bool has_own_weight(const graph::LinearLayer& layer) const;

 private:
  const graph::Graph& graph_;
  std::vector<std::vector<graph::NodeId>> users_;
  std::map<std::string, std::vector<graph::NodeId>> readers_;
};

/// Lets a layer without a bias read a parameter LAYER.bias, when the insertion is made; the caller
/// gives the parameter its numbers. @throws c10::ValueError when another tensor has that name.
/// @returns  the name.
std::string insert_bias(FloatNetwork& network, const graph::LinearLayer& layer,
                        std::map<graph::NodeId, graph::Insertion>& insertions);

template <size_t kCount>
bool is_among(const std::array<std::string_view, kCount>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Every node behind `to` that uses `from` uses `to` instead; `to` itself may use it.
void redirect_after(graph::Graph& graph, const graph::Value& from, const graph::Value& to);

/// Every linear layer whose weight an embedding reads too gets a copy of its own, named
/// LAYER.weight. Returns the layers' names.
std::vector<std::string> untie(FloatNetwork& network);

}  // namespace laconic::transform
