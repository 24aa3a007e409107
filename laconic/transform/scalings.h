#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "laconic/transform/statistics.h"
#include "laconic/transform/streams.h"

namespace laconic::transform {

/// Where factors of features act in a stored tensor.
struct ScaledPart {
  Part part;
  at::Tensor index = {};  ///< [factors] places along the part's dimension; undefined: all, in order
  double offset = 0;      ///< the network reads the parameter plus this number (gains of Gemma)
};

/// The part of a layer's weight that multiplies its input.
inline Part columns_of(const graph::LinearLayer& layer) {
  return {layer.weight_name, layer.transposed ? 0 : 1, layer.name};
}

/// Features that may be multiplied one by one: what writes them is divided by factors, what reads
/// them multiplied, and the network computes the same.
struct Scaling {
  WatchedInput input;                      ///< a value that holds the features
  int64_t width = 0;                       ///< number of factors
  at::Tensor index = {};                   ///< [features of the input] the factor of each (heads of
                                           ///< one group share theirs); undefined: each its own
  std::vector<graph::LinearLayer> layers;  ///< that read the features
  std::vector<Part> others = {};           ///< parameters of other kinds that read them
  std::vector<ScaledPart> sources = {};    ///< gains, or rows of a layer; empty: none can

  /// One number for each factor: the largest, or the mean, of its features' numbers.
  at::Tensor largest(const at::Tensor& of_features) const;
  at::Tensor mean(const at::Tensor& of_features) const;
  /// One number for each feature of the input.
  at::Tensor spread(const at::Tensor& factors) const;
};

/// `tensor`, as it is stored, times factors at the part.
at::Tensor scaled_at(const at::Tensor& tensor, const ScaledPart& part, const at::Tensor& factors);

/// One for each set of features that linear layers read, but for the head's, in the order of the
/// graph; found from operators alone. Sources are gains and biases of norms, and rows of linear
/// layers whose results go through products, ReLUs, or attention (from values to its result).
std::vector<Scaling> find_scalings(const FloatNetwork& network);

/// Gathers what is done to parameters, and changes the network once.
class Scaler {
 public:
  explicit Scaler(FloatNetwork& network) : network_(network) {}

  /// Multiplies what reads the features and divides the sources.
  /// @param factors  [width], > 0.
  void merge(const Scaling& scaling, const at::Tensor& factors);
  /// Multiplies the layers' columns; their input is divided in the graph.
  void insert(const Scaling& scaling, const at::Tensor& factors);
  /// Something else that is done to a stored tensor, after what came before.
  using Edit = std::function<at::Tensor(const at::Tensor& stored)>;
  void edit(const std::string& parameter, Edit edit);
  /// A stored tensor with what was done so far.
  at::Tensor current(const std::string& parameter) const;
  /// @param word  what the graph's change is called, if anything was inserted.
  void finish(const std::string& word);

 private:
  void multiply(const ScaledPart& part, const at::Tensor& factors);
  void insert_products();

  FloatNetwork& network_;
  std::map<std::string, std::vector<Edit>> edits_;
  std::vector<std::pair<Scaling, std::string>> inserted_;  ///< and names of the inverse factors
  Changes added_;
};

}  // namespace laconic::transform
