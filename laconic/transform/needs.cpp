#include "laconic/transform/needs.h"

namespace laconic::transform {

void TransformNeeds::work_on(const std::string& layer, int64_t bytes) {
  others.push_back({.largest = layer, .solving = bytes});
}

int64_t float_bytes(const FloatNetwork& network, const std::string& parameter) {
  int64_t count = 1;
  for (const int64_t size : network.parameters->describe(parameter).shape) count *= size;
  return vector_bytes(count);
}

int64_t matrix_bytes(const FloatNetwork& network, const graph::LinearLayer& layer) {
  const auto shape = network.parameters->describe(layer.weight_name).shape;
  const int64_t features = shape.at(layer.transposed ? 0 : 1);
  return vector_bytes(features * features);
}

}  // namespace laconic::transform
