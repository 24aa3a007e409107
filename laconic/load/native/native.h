#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "laconic/file/safetensors/safetensors.h"
#include "laconic/quant/quantizer/quant_parts.h"
#include "laconic/quant/quantizer/quantize.h"

namespace laconic {

/// One quantized linear layer or embedding as stored. The weight is in [out, in] orientation, also
/// for layers whose checkpoint stores [in, out] (`transposed`).
struct NativeLayer {
  std::string name;         ///< module path: "model.layers.0.self_attn.q_proj"
  std::string weight_name;  ///< checkpoint name of the weight: name + ".weight"
  bool transposed = false;  ///< the checkpoint's weight is [in, out] (GPT-2's Conv1D)
  QuantSpec weight;         ///< spec of the weight
  std::optional<QuantSpec> input = std::nullopt;  ///< spec of the layer's input, if quantized
  std::vector<int64_t> shape;                     ///< [out, in]; of an embedding [rows, width]
  bool is_embedding = false;
};

/// The directory that `laconic quantize` writes:
///   laconic.json         format_version, architecture, layers (specs), recipe, report
///   config.json, tokenizer files, generation_config.json: copied
///   model-XXXXX-of-XXXXX.safetensors + model.safetensors.index.json, or model.safetensors:
///     P.weight_codes  uint8 [out, ceil(in * bits / 8)]: the codes, plus 2^(bits - 1) when signed,
///     as a
///                     little-endian bit stream a row; P.weight_scale; P.weight_zero_point
///                     (asymmetric only): QuantParameters as they are
///     P.weight_choice (a ChoiceFormat only)  uint8 [ceil(scales * bits / 8)]: which table each
///     scale has, in the order of the scales, as a little-endian bit stream
///     P.weight_plane_scales (PlaneSumFormat, ComplexSignsFormat): QuantParameters as they are
///     P.input_scale, P.input_zero_point (static inputs only): QuantParameters as they are
///     every other tensor of the checkpoint, with its name and stored dtype
///   graph.safetensors    when transforms made the network another than config.json's ("graph" in
///     laconic.json says which): the graph to run (graph/save.h)
/// Reading gives codes and parameters back bit for bit.
class NativeDirectory {
 public:
  static constexpr int kFormatVersion = 1;
  static bool is_native(const std::filesystem::path& directory);  ///< laconic.json is there
  /// @throws c10::ValueError naming file and field when malformed or of a newer format_version, and
  /// naming the layer
  ///         when a stored tensor is absent or does not agree with its spec.
  static std::shared_ptr<const NativeDirectory> open(const std::filesystem::path& directory,
                                                     const QuantParts& parts = {});
  /// A Hugging Face directory seen as a native one in which nothing is quantized (the manifest is
  /// null).
  /// @throws c10::ValueError as Checkpoint::open.
  static std::shared_ptr<const NativeDirectory> of_checkpoint(
      const std::filesystem::path& directory);

  const std::filesystem::path& path() const { return path_; }
  const nlohmann::json& manifest() const { return manifest_; }  ///< laconic.json
  const std::vector<NativeLayer>& layers() const { return layers_; }
  const NativeLayer* find(const std::string& layer_name) const;  ///< nullptr when not quantized
  /// [out, in] int8 (signed) or uint8. @throws c10::ValueError for a code outside the format.
  at::Tensor codes(const NativeLayer& layer) const;
  /// As stored. @throws c10::ValueError for a scale that is not positive and finite, or a bad zero
  /// point.
  QuantParameters parameters(const NativeLayer& layer) const;
  /// Of the layer's input, as stored; nothing when it is not static. @throws as `parameters`.
  std::optional<QuantParameters> input_parameters(const NativeLayer& layer) const;
  /// (codes - zero_point) * scale in float32, [out, in]; for StoredMinimum (codes - q_min) * scale
  /// + minimum, bit for bit what the reader of a GGUF file gets.
  at::Tensor dequantized(const NativeLayer& layer) const;
  /// The same of some rows: [n, in]. Reads no others where rows have scales of their own.
  /// @param indices  [n] int64.
  at::Tensor dequantized_rows(const NativeLayer& layer, const at::Tensor& indices) const;
  const Checkpoint& tensors() const { return *tensors_; }  ///< everything that is stored
  static constexpr const char* kGraphFile = "graph.safetensors";
  /// The transforms after which the network is not config.json's, by name; empty when it is.
  /// @throws c10::ValueError when the manifest's field "graph" is malformed.
  std::vector<std::string> graph_changes() const;

 private:
  std::filesystem::path path_;
  nlohmann::json manifest_;
  std::vector<NativeLayer> layers_;
  std::map<std::string, size_t> index_;
  std::shared_ptr<const Checkpoint> tensors_;
};

/// The stored tensors of one solved layer, named as above: give them to a shard.
/// @param input  of a static input, and only of one.
/// @throws c10::ValueError naming the layer when codes or parameters do not agree with the spec.
std::vector<std::pair<std::string, at::Tensor>> native_tensors(
    const NativeLayer& layer, const at::Tensor& codes, const QuantParameters& parameters,
    const std::optional<QuantParameters>& input = std::nullopt);

/// An element of laconic.json's "layers".
nlohmann::json to_json(const NativeLayer& layer);
/// @throws c10::ValueError naming `where` and the field.
NativeLayer native_layer_from_json(const nlohmann::json& json, const std::string& where,
                                   const QuantParts& parts = {});

/// Writes a native directory shard by shard into `directory`.partial; `finish` renames it. The same
/// parts serve a resumed run: shards that are there already are kept.
class NativeWriter {
 public:
  /// @param shard_count  known before: one a block, one for the rest.
  /// @param overwrite    `finish` may replace a finished native directory (never another kind of
  /// directory).
  /// @throws c10::ValueError when `directory` is there and may not be replaced.
  NativeWriter(std::filesystem::path directory, int shard_count, bool overwrite = false);
  /// What the constructor checks, for callers with much work before it.
  static void check_replaceable(const std::filesystem::path& directory, bool overwrite);
  bool has_shard(int index) const;  ///< 0 <= index < shard_count
  /// @param written  as write_safetensors has it.
  void write_shard(int index, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                   const std::function<void(const std::string& name)>& written = {});
  std::filesystem::path working_directory() const { return working_; }
  /// Writes the index and laconic.json (format_version is added), copies `files` (those that are in
  /// the working directory already stay), removes everything else from the working directory (a
  /// journal), checks that the result can be read, and renames it to its final name.
  /// @param parts  the program's own, which the manifest's specs may name.
  void finish(const nlohmann::json& manifest, const std::vector<std::filesystem::path>& files,
              const QuantParts& parts = {});

 private:
  std::string shard_name(int index) const;
  void write_index() const;
  void remove_leftovers(const std::vector<std::filesystem::path>& files) const;

  std::filesystem::path directory_, working_;
  int shard_count_;
  bool overwrite_;
};

}  // namespace laconic
