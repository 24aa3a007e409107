#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace laconic {

// What was asked for, as plain values. This file and its source use neither LibTorch nor the other
// rooms, so that the help is there at once (see main.cpp).

struct QuantizeCommand {
  std::string model, recipe, calibration, statistics, out;
  std::vector<std::string> settings;  ///< "key=value"
  std::vector<std::string> exports;   ///< names of exporters
  int64_t seed = -1;                  ///< -1: the recipe's
  int64_t batch = 0;                  ///< windows at once; 0: the engine's choice
  uint64_t host_memory = 0;           ///< bytes; 0: no limit
  uint64_t device_memory = 0;         ///< the same of the device's memory
  bool overwrite = false;
};

struct CalibrateCommand {
  std::string model, calibration, out;
  int64_t windows = 128, length = 512, seed = 0;
  std::string field = "text";  ///< of JSON lines
  int64_t batch = 0;           ///< windows at once; 0: the engine's choice
  uint64_t host_memory = 0;    ///< bytes; 0: no limit
  uint64_t device_memory = 0;  ///< the same of the device's memory
  bool overwrite = false;
};

/// What `evaluate perplexity` and `compare` share.
struct EvaluationCommand {
  std::string text;
  int64_t context = 0, stride = 0, windows = 0, batch = 0;  ///< 0: the default of the convention
  std::string convention = "gptq";
  std::string bos = "auto";
};

struct PerplexityCommand {
  std::string model, against;
  bool layers = false;  ///< signal to noise of each layer, too
  EvaluationCommand evaluation;
};

struct ExportCommand {
  std::string model, format, out;
  bool overwrite = false;
};

struct CompareCommand {
  std::string model, calibration, statistics, out;
  std::vector<std::string> recipes, settings;
  EvaluationCommand evaluation;
  int64_t seed = -1;
  bool overwrite = false;
};

struct RecipesCommand {
  std::string name;
  bool quantizers = false;
  std::string pictures;  ///< directory; empty: none
};

struct ServeCommand {
  std::string model, host = "127.0.0.1";
  int64_t port = 8080;  ///< 0: any free one
};

struct CommandLine {
  std::variant<QuantizeCommand, CalibrateCommand, PerplexityCommand, ExportCommand, CompareCommand,
               RecipesCommand, ServeCommand>
      command;
  int64_t threads = 0;  ///< 0: LibTorch's choice
  std::string device = "cpu";
  bool json = false;
  bool quiet = false;  ///< no progress
};

/// The program is done: help, the version, or a wrong use.
struct Finished {
  int exit_code = 0;
  std::string text;  ///< for standard output when the exit code is 0, else for standard error
};

/// Reads the arguments. Wrong use gives exit code 2 and a message with the nearest right word.
std::variant<CommandLine, Finished> parse_command_line(int argc, const char* const* argv);

}  // namespace laconic
