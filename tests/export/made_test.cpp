#include "tests/export/made.h"

#include "laconic/base/directory.h"
#include "laconic/file/json/json.h"
#include "laconic/load/native/stored.h"
#include "tests/testing/testing.h"

namespace laconic::testing {
namespace {

bool is_linear(const std::string& name, const SafetensorsEntry& entry) {
  if (!name.ends_with(".weight") || entry.shape.size() != 2) return false;
  for (const char* other : {"embed", "wte", "wpe", "lm_head"}) {
    if (name.find(other) != std::string::npos) return false;
  }
  return true;
}

std::vector<std::filesystem::path> other_files(const std::filesystem::path& model) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(model)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".json") && name != "laconic.json" && !name.ends_with(".index.json"))
      files.push_back(entry.path());
  }
  return files;
}

}  // namespace

void make_native(const std::filesystem::path& model, const std::filesystem::path& out,
                 const Making& making) {
  const auto checkpoint = Checkpoint::open(model);
  const auto config = read_json_file(model / "config.json");
  nlohmann::json manifest = {{"architecture", config["architectures"][0]},
                             {"layers", nlohmann::json::array()}};
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const std::string& name : checkpoint->names()) {
    const std::string layer_name = name.substr(0, name.rfind('.'));
    const auto spec =
        is_linear(name, checkpoint->entry(name)) ? making.weight(layer_name) : std::nullopt;
    if (!spec) {
      tensors.emplace_back(name, checkpoint->tensor(name));
      continue;
    }
    const bool transposed = config["model_type"] == "gpt2";
    auto weight = checkpoint->tensor(name).to(at::kFloat);
    if (transposed) weight = weight.t().contiguous();
    const NativeLayer layer{.name = layer_name,
                            .weight_name = name,
                            .transposed = transposed,
                            .weight = *spec,
                            .input = making.input,
                            .shape = weight.sizes().vec()};
    const auto parameters = find_parameters(*spec, weight);
    for (auto& tensor :
         native_tensors(layer, quantize_codes(*spec, weight, parameters), parameters)) {
      tensors.push_back(std::move(tensor));
    }
    manifest["layers"].push_back(to_json(layer));
  }
  NativeWriter writer(out, 1);
  writer.write_shard(0, tensors);
  writer.finish(manifest, other_files(model));
}

void make_dense(const NativeDirectory& native, const std::filesystem::path& out) {
  std::filesystem::create_directories(out);
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const std::string& name : native.tensors().names()) {
    if (name.find(".weight_") == std::string::npos)
      tensors.emplace_back(name, native.tensors().tensor(name));
  }
  for (const NativeLayer& layer : native.layers()) {
    const auto values = native.dequantized(layer);
    tensors.emplace_back(layer.weight_name, layer.transposed ? values.t().contiguous() : values);
  }
  write_safetensors(out / "model.safetensors", tensors, {{"format", "pt"}});
  for (const auto& file : other_files(native.path())) copy_over(file, out / file.filename());
}

Choose all(const QuantSpec& spec) {
  return [spec](const std::string&) { return std::optional(spec); };
}

QuantSpec gguf_spec(int64_t bits, ZeroPoint zero_point, Granularity granularity) {
  QuantSpec spec = plain_spec(bits, granularity, zero_point);
  auto scale = std::get<StatisticScale>(spec.scale);
  scale.restriction = StoredAs{};
  spec.scale = scale;
  return spec;
}

QuantSpec plain_spec(int64_t bits, Granularity granularity, ZeroPoint zero_point) {
  const bool symmetric = std::holds_alternative<NoZeroPoint>(zero_point);
  StatisticScale scale;
  if (!symmetric) scale.statistic = MinMax{};
  return {.format = IntFormat{.bit_width = bits, .is_signed = symmetric},
          .granularity = granularity,
          .scale = scale,
          .zero_point = zero_point};
}

QuantSpec token_input() { return {.format = IntFormat{.bit_width = 8}, .granularity = PerToken{}}; }

}  // namespace laconic::testing
