#pragma once

#include <functional>
#include <string>
#include <vector>

#include "laconic/load/native/native.h"

namespace laconic {

/// The file that makes a directory a native one.
constexpr const char* kManifest = "laconic.json";

/// Names of the tensors that replace a quantized layer's weight, or belong to its input.
std::string codes_name(const NativeLayer& layer);
std::string scale_name(const NativeLayer& layer);
std::string zero_point_name(const NativeLayer& layer);
std::string choice_name(const NativeLayer& layer);
std::string plane_scales_name(const NativeLayer& layer);
std::string input_scale_name(const NativeLayer& layer);
std::string input_zero_point_name(const NativeLayer& layer);
/// All of these.
std::vector<std::string> tensor_names(const NativeLayer& layer);

int64_t bit_width(const QuantSpec& spec);
bool is_signed(const QuantSpec& spec);
bool is_asymmetric(const QuantSpec& spec);
/// Whether each scale stands beside those of more planes, and their shape.
bool has_planes(const QuantSpec& spec);
std::vector<int64_t> plane_scales_shape(const NativeLayer& layer);
/// Whether each scale has one of several tables, and the bytes that these choices take.
bool has_choice(const QuantSpec& spec);
int64_t choice_bytes(const NativeLayer& layer);
/// QuantParameters::choice of packed bytes. @throws c10::ValueError for too few bytes.
at::Tensor unpack_choice(const NativeLayer& layer, const at::Tensor& packed);
/// Whether the layer's input has a scale that is stored.
bool has_static_input(const NativeLayer& layer);
/// Shape of that scale: [], or [1, 1, in] for a channel (an input is [batch, length, in]).
std::vector<int64_t> input_scale_shape(const NativeLayer& layer);

/// The float16 minimum behind a StoredMinimum zero point, float32 in the shape of the scale: the
/// value of the smallest code. Files store this number.
at::Tensor stored_minimum(const QuantSpec& spec, const QuantParameters& parameters);

/// @throws c10::ValueError naming `where` when codes or parameters do not agree with the layer's
/// spec.
void check_codes(const NativeLayer& layer, const at::Tensor& codes, const std::string& where);
void check_parameters(const NativeLayer& layer, const QuantParameters& parameters,
                      const std::string& where);
void check_input_parameters(const NativeLayer& layer, const QuantParameters& parameters,
                            const std::string& where);

/// Reads a stored tensor by its name.
using TensorOf = std::function<at::Tensor(const std::string& name)>;

/// Codes of packed rows [rows, bytes]: int8 (signed) or uint8 [rows, in], rows as layer.shape has
/// them. @throws c10::ValueError naming `where` for a code outside the format.
at::Tensor unpack_codes(const NativeLayer& layer, const at::Tensor& packed,
                        const std::string& where);
/// The layer's. @throws as unpack_codes.
at::Tensor read_codes(const NativeLayer& layer, const TensorOf& tensor_of,
                      const std::string& where);
/// As stored; check_parameters tells whether they are right.
QuantParameters read_parameters(const NativeLayer& layer, const TensorOf& tensor_of);
/// The same of a static input, with check_input_parameters.
QuantParameters read_input_parameters(const NativeLayer& layer, const TensorOf& tensor_of);

}  // namespace laconic
