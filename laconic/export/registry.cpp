#include <c10/util/Exception.h>

#include "laconic/base/table.h"
#include "laconic/base/text.h"
#include "laconic/export/compressed_tensors/compressed_tensors.h"
#include "laconic/export/export.h"
#include "laconic/export/gguf/gguf_export.h"

namespace laconic {
namespace {

template <GgufPrecision kPrecision>
std::vector<std::string> obstacles(const nlohmann::json& config,
                                   const std::vector<NativeLayer>& layers) {
  return gguf_obstacles(config, layers, kPrecision);
}

template <GgufPrecision kPrecision>
ExportReport write(const NativeDirectory& model, const std::filesystem::path& out, bool overwrite) {
  return write_gguf(model, out, overwrite, kPrecision);
}

template <GgufPrecision kPrecision>
constexpr Exporter gguf(const char* name, const char* summary) {
  return {name, summary, false, obstacles<kPrecision>, write<kPrecision>};
}

constexpr Exporter kExporters[] = {
    gguf<GgufPrecision::kExact>("gguf",
                                "one file for llama.cpp: codes and scales as they were solved"),
    gguf<GgufPrecision::kF32>("gguf-f32", "one file for llama.cpp, every number as float32"),
    gguf<GgufPrecision::kF16>("gguf-f16", "one file for llama.cpp, matrices rounded to float16"),
    {"compressed-tensors", "a directory for transformers and vLLM", true,
     compressed_tensors_obstacles, write_compressed_tensors},
};

}  // namespace

std::span<const Exporter> exporters() { return kExporters; }

const Exporter& find_exporter(const std::string& name) {
  if (const Exporter* found = find_row<Exporter>(kExporters, name)) return *found;
  TORCH_CHECK_VALUE(false, "[export] unknown format \"", name, "\"",
                    suggestion(name, row_names<Exporter>(kExporters)), ".");
}

std::shared_ptr<const NativeDirectory> open_for_export(const std::filesystem::path& directory,
                                                       const QuantParts& parts) {
  return NativeDirectory::is_native(directory) ? NativeDirectory::open(directory, parts)
                                               : NativeDirectory::of_checkpoint(directory);
}

}  // namespace laconic
