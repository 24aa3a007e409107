#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>

#include "laconic/base/atomic_file.h"
#include "laconic/base/text.h"
#include "laconic/cli/commands.h"
#include "laconic/export/export.h"
#include "laconic/recipe/pipeline.h"

namespace laconic {
namespace {

constexpr uint64_t kMaximumConfigBytes = uint64_t{16} << 20;

nlohmann::json read_config(const std::filesystem::path& model) {
  const auto path = model / "config.json";
  auto config = nlohmann::json::parse(read_text_file(path, kMaximumConfigBytes), nullptr, false);
  TORCH_CHECK_VALUE(config.is_object(), "[export] ", path.string(), ": expected a JSON object.");
  return config;
}

}  // namespace

void run_command(const ExportCommand& command, const Session& session) {
  const Exporter& exporter = find_exporter(session.parts, command.format);
  TORCH_CHECK_VALUE(std::filesystem::is_directory(command.model), "[export] ", command.model,
                    ": no such directory. Expected a Hugging Face model, or what `laconic "
                    "quantize` wrote.");
  TORCH_CHECK_VALUE(command.overwrite || !std::filesystem::exists(command.out), "[export] ",
                    command.out, ": is there already. Remove it, or allow it with --overwrite.");
  const auto model = open_for_export(command.model, session.parts.quantizers);
  check_exportable(exporter, read_config(command.model), model->layers(), model->graph_changes());
  const ExportReport report = exporter.write(*model, command.out, command.overwrite);
  if (session.json) {
    auto files = nlohmann::json::array();
    for (const auto& file : report.files) files.push_back(file.string());
    return print(nlohmann::json{{"format", exporter.name},
                                {"out", command.out},
                                {"files", files},
                                {"bytes", report.bytes},
                                {"notes", report.notes}});
  }
  std::string text =
      command.out + ": " + exporter.name + ", " + readable_bytes(report.bytes) + "\n";
  for (const std::string& note : report.notes) text += "  " + note + "\n";
  print(text);
}

}  // namespace laconic
