#include "laconic/graph/parameters.h"

#include <ATen/ops/index_select.h>
#include <c10/util/Exception.h>

namespace laconic::graph {

Description Parameters::describe(const std::string& name) const {
  const auto tensor = get(name);
  return {tensor.sizes().vec(), tensor.scalar_type()};
}

at::Tensor Parameters::rows(const std::string& name, const at::Tensor& indices) const {
  return at::index_select(get(name), 0, indices);
}

at::Tensor ParameterTable::get(const std::string& name) const {
  const auto found = tensors_.find(name);
  TORCH_CHECK_VALUE(found != tensors_.end(), "[ParameterTable] no parameter \"", name, "\" among ",
                    tensors_.size(), ". Add it to the table.");
  return found->second;
}

at::Tensor OverlaidParameters::get(const std::string& name) const {
  const auto found = above_.find(name);
  return found != above_.end() ? found->second : below_.get(name);
}

at::Tensor OverlaidParameters::rows(const std::string& name, const at::Tensor& indices) const {
  return above_.contains(name) ? Parameters::rows(name, indices) : below_.rows(name, indices);
}

Description OverlaidParameters::describe(const std::string& name) const {
  return above_.contains(name) ? Parameters::describe(name) : below_.describe(name);
}

void OverlaidParameters::release(const std::string& name) const {
  if (!above_.contains(name)) below_.release(name);
}

}  // namespace laconic::graph
