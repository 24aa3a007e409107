#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "laconic/load/native/native.h"

namespace laconic::testing {

/// What is to be done with a layer of a model; nothing: it stays as it is.
using Choose = std::function<std::optional<QuantSpec>(const std::string& layer)>;

struct Making {
  Choose weight;
  std::optional<QuantSpec> input = std::nullopt;
};

/// Quantizes the linear layers of a Hugging Face directory to the nearest codes and writes `out`, a
/// native directory.
void make_native(const std::filesystem::path& model, const std::filesystem::path& out,
                 const Making& making);

/// A Hugging Face directory with the dequantized weights of `native`.
void make_dense(const NativeDirectory& native, const std::filesystem::path& out);

/// Every linear layer of the blocks with one spec.
Choose all(const QuantSpec& spec);

/// Specs by the file format that holds them.
QuantSpec gguf_spec(int64_t bits, ZeroPoint zero_point = NoZeroPoint{},
                    Granularity granularity = PerGroup{.axis = 1, .group_size = 32});
QuantSpec plain_spec(int64_t bits, Granularity granularity, ZeroPoint zero_point = NoZeroPoint{});
QuantSpec token_input();

}  // namespace laconic::testing
