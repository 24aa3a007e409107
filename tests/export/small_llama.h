#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "laconic/load/native/native.h"

namespace laconic::testing {

/// config.json of a Llama with one layer, two query heads and one key head of 32 times `times`.
nlohmann::json small_config(int64_t times = 1);

/// tokenizer.json of byte-level BPE with three tokens and one merge.
nlohmann::json small_tokenizer();

/// Linear layers of the small model as a recipe of `spec` leaves them; [out, in] by their names.
std::vector<NativeLayer> small_layers(const QuantSpec& spec, int64_t times = 1);

/// The small model with random weights, its linear layers quantized by `spec` to nearest.
std::shared_ptr<const NativeDirectory> write_small_llama(const std::filesystem::path& directory,
                                                         const QuantSpec& spec, int64_t times = 1);

/// 32 weights share a float16 scale, as GGUF wants it.
QuantSpec gguf_spec(int bits);

}  // namespace laconic::testing
