#include "laconic/load/native/stored.h"

#include "laconic/kernel/pack.h"

namespace laconic {

at::Tensor unpack_codes(const NativeLayer& layer, const at::Tensor& packed,
                        const std::string& where) {
  const int64_t bits = bit_width(layer.weight);
  auto codes = unpack_rows(packed, bits, layer.shape[1]);
  codes = is_signed(layer.weight) ? codes.sub_(int64_t{1} << (bits - 1)).to(at::kChar)
                                  : codes.to(at::kByte);
  check_codes(layer, codes, where);
  return codes;
}

at::Tensor read_codes(const NativeLayer& layer, const TensorOf& tensor_of,
                      const std::string& where) {
  return unpack_codes(layer, tensor_of(codes_name(layer)), where);
}

QuantParameters read_parameters(const NativeLayer& layer, const TensorOf& tensor_of) {
  QuantParameters parameters{tensor_of(scale_name(layer)), {}};
  if (is_asymmetric(layer.weight)) parameters.zero_point = tensor_of(zero_point_name(layer));
  if (has_planes(layer.weight)) parameters.plane_scales = tensor_of(plane_scales_name(layer));
  if (has_choice(layer.weight))
    parameters.choice = unpack_choice(layer, tensor_of(choice_name(layer)));
  return parameters;
}

QuantParameters read_input_parameters(const NativeLayer& layer, const TensorOf& tensor_of) {
  QuantParameters parameters{tensor_of(input_scale_name(layer)), {}};
  if (is_asymmetric(*layer.input)) parameters.zero_point = tensor_of(input_zero_point_name(layer));
  return parameters;
}

}  // namespace laconic
