#include "laconic/model/network.h"

#include "laconic/graph/trace.h"
#include "laconic/model/language_module.h"

namespace laconic::model {

Network::Network(const Config& config, const Architecture& architecture)
    : module_(architecture.make(config, c10::TensorOptions().dtype(at::kFloat).device(at::kMeta))) {
  module_->eval();
}

int64_t Network::vocabulary_size() const { return module_->vocabulary_size; }
int64_t Network::maximum_length() const { return module_->maximum_length; }

std::vector<ParameterShape> Network::parameters() const {
  std::vector<ParameterShape> result;
  for (const auto& item : module_->named_parameters())
    result.push_back({item.key(), item.value().sizes().vec()});
  return result;
}

graph::Graph Network::graph(const std::function<std::string(const std::string&)>& rename) const {
  const auto forward = [&](const at::Tensor& ids) { return module_->forward(ids); };
  return graph::trace(*module_, forward, {.input = "input_ids", .example = {}, .rename = rename});
}

}  // namespace laconic::model
