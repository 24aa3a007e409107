#pragma once

#include <c10/core/Device.h>

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "laconic/cli/command_line.h"
#include "laconic/recipe/parts.h"

namespace laconic {

/// What every command is told beside its own options.
struct Session {
  const Parts& parts;
  bool json = false;
  bool progress = true;
  at::Device device = at::kCPU;
};

// One file a command. Each prints its result, and throws when it fails.
void run_command(const QuantizeCommand& command, const Session& session);
void run_command(const CalibrateCommand& command, const Session& session);
void run_command(const PerplexityCommand& command, const Session& session);
void run_command(const ExportCommand& command, const Session& session);
void run_command(const CompareCommand& command, const Session& session);
void run_command(const RecipesCommand& command, const Session& session);
void run_command(const ServeCommand& command, const Session& session);

/// Writes to standard output. @throws c10::Error when that fails (a full disk, a closed pipe).
void print(const std::string& text);
void print(const nlohmann::json& object);

}  // namespace laconic
