#include <nlohmann/json.hpp>

#include "laconic/cli/commands.h"
#include "laconic/cli/evaluation.h"
#include "laconic/evaluate/server.h"
#include "laconic/load/placement.h"

namespace laconic {

void run_command(const ServeCommand& command, const Session& session) {
  const auto name = std::filesystem::path(command.model).lexically_normal().filename().string();
  LanguageModel model = load_checked_model(command.model, session.parts);
  place(model, session.device, /*resident=*/true);
  Completions completions(std::move(model), name.empty() ? command.model : name, session.device);
  serve(completions, {.host = command.host, .port = static_cast<int>(command.port)}, [&](int port) {
    const std::string address = "http://" + command.host + ":" + std::to_string(port);
    if (session.json) return print(nlohmann::json{{"address", address}});
    print("serving " + command.model + " at " + address + "; Ctrl-C ends\n");
  });
}

}  // namespace laconic
