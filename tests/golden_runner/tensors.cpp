#include "tensors.h"

#include <ATen/ATen.h>

#include <cmath>

#include "laconic/quant/tensor/operands.h"

namespace laconic::golden {

QuantTensor read_tensor(const Case& item, const std::string& prefix, bool is_signed) {
  const auto bits =
      static_cast<int64_t>(std::lround(item.input(prefix + "bit_width").item<double>()));
  return integer_tensor(item.input(prefix + "value"), item.input(prefix + "scale"),
                        item.input(prefix + "zero_point"), {bits, is_signed, false});
}

QuantTensor read_tensor(const Case& item, const std::string& prefix) {
  return read_tensor(item, prefix, item.input(prefix + "signed").item<double>() != 0);
}

at::Tensor bit_width_of(const QuantTensor& tensor) {
  return at::full({}, static_cast<double>(std::get<IntFormat>(tensor.format).bit_width));
}

at::Tensor zero_point_of(const QuantTensor& tensor) {
  return tensor.zero_point.defined() ? tensor.zero_point : at::zeros({});
}

}  // namespace laconic::golden
