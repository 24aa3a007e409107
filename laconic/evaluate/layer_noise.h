#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "laconic/graph/run.h"
#include "laconic/load/language_model.h"

namespace laconic {

/// Signal to noise of one linear layer, dB: 10 log10(sum x^2 / sum (x - y)^2), x of the float
/// model. Infinity when they are equal.
struct LayerNoise {
  std::string name;   ///< module path
  double weight = 0;  ///< of the layer's weight alone
  double output = 0;  ///< of its output, each network run as a whole: the errors of all layers
                      ///< before it are in it
};

/// Measures the linear layers of the blocks of two models that differ in numbers only.
class LayerNoiseMeter {
 public:
  /// @throws c10::ValueError naming a layer that `against` does not have, or has in another place
  /// or shape.
  LayerNoiseMeter(const LanguageModel& model, const LanguageModel& against);

  /// Runs both networks on ids [batch, length] int64. In memory: one layer's outputs at a time.
  void add(const at::Tensor& ids);

  /// In the order of the network. Without an `add` the outputs' figures are NaN.
  std::vector<LayerNoise> result() const;

 private:
  struct Layer {
    std::string name;
    graph::LinearLayer layer, reference;
    double signal = 0, noise = 0;
  };
  const LanguageModel& model_;
  const LanguageModel& against_;
  graph::Runner runner_, reference_runner_;
  std::vector<Layer> layers_;
};

}  // namespace laconic
