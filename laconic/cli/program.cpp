#include "laconic/cli/program.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <nlohmann/json.hpp>

#include "laconic/base/directory.h"
#include "laconic/base/interrupt.h"
#include "laconic/cli/commands.h"
#include "laconic/load/placement.h"
#include "laconic/processes/meeting_point.h"

namespace laconic {
namespace {

// As shells say it: 128 + the signal.
constexpr int kDone = 0, kFailed = 1, kWrongInput = 2, kSignalled = 128;

int report(int exit_code, const std::string& message) {
  std::fprintf(stderr, "laconic: error: %s\n", message.c_str());
  return exit_code;
}

// The finished blocks of a job that did not end; empty when there are none.
std::filesystem::path unfinished(const CommandLine& line) {
  const auto* command = std::get_if<QuantizeCommand>(&line.command);
  if (command == nullptr) return {};
  const std::filesystem::path working = without_slash(command->out).string() + ".partial";
  std::error_code ignored;
  return std::filesystem::exists(working, ignored) ? working : std::filesystem::path();
}

int report_interrupt(const CommandLine& line) {
  const auto working = unfinished(line);
  const auto* compare = std::get_if<CompareCommand>(&line.command);
  std::string rest = "nothing half-done was left";
  if (!working.empty())
    rest = "what is done lies in " + working.string() + "; run the same command again to continue";
  if (compare != nullptr && !compare->out.empty()) rest = "finished models stay in " + compare->out;
  std::fprintf(stderr, "laconic: interrupted: %s.\n", rest.c_str());
  return kSignalled + interrupting_signal();
}

int report_failure(const CommandLine& line, std::string message) {
  const auto working = unfinished(line);
  if (!working.empty()) {
    message += " The finished blocks lie in " + working.string() +
               ": the same command continues behind them.";
  }
  return report(kFailed, message);
}

bool computes_anywhere(const CommandLine& line) {
  return std::holds_alternative<QuantizeCommand>(line.command) ||
         std::holds_alternative<CalibrateCommand>(line.command) ||
         std::holds_alternative<PerplexityCommand>(line.command) ||
         std::holds_alternative<ServeCommand>(line.command) ||
         std::holds_alternative<CompareCommand>(line.command);
}

/// Only quantize shares its work; several of another command would write the same files.
void check_alone(const CommandLine& line) {
  if (std::holds_alternative<QuantizeCommand>(line.command)) return;
  const auto point = find_meeting_point(std::getenv);
  TORCH_CHECK_VALUE(!point, "[processes] ", point ? point->size : 1,
                    " processes were started (WORLD_SIZE and the like), but only `laconic "
                    "quantize` shares its work. Start this command once, without torchrun.");
}

/// Of several processes on one machine each takes a device of its own, if there are enough.
at::Device device_of(const CommandLine& line) {
  const at::Device device = parse_device(line.device);
  const auto point = find_meeting_point(std::getenv);
  if (line.device != "cuda" || !point) return device;
  const auto count = at::globalContext().getAcceleratorHooksInterface(at::kCUDA).deviceCount();
  return {at::kCUDA, static_cast<c10::DeviceIndex>(point->local_rank % count)};
}

void run(const CommandLine& line, const Parts& parts) {
  check_alone(line);
  const at::Device device = device_of(line);
  TORCH_CHECK_VALUE(
      device.is_cpu() || computes_anywhere(line), "--device ", line.device,
      ": expected a command that computes on it: quantize, calibrate, evaluate, compare or "
      "serve. Leave --device out.");
  if (line.threads > 0) at::set_num_threads(static_cast<int>(line.threads));
  const Session session{parts, line.json, !line.quiet, device};
  std::visit([&](const auto& command) { run_command(command, session); }, line.command);
}

int run_reporting(const CommandLine& line, const Parts& parts) {
  try {
    run(line, parts);
    return kDone;
  } catch (const Interrupted&) {
    return report_interrupt(line);
  } catch (const c10::ValueError& error) {
    return report(kWrongInput, error.what_without_backtrace());
  } catch (const c10::TypeError& error) {
    return report(kWrongInput, error.what_without_backtrace());
  } catch (const c10::NotImplementedError& error) {
    return report(kWrongInput, error.what_without_backtrace());
  } catch (const c10::Error& error) {
    return report_failure(line, error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    return report_failure(line, "out of memory. Use a smaller --batch or a shorter --context.");
  } catch (const std::exception& error) {
    return report_failure(line, error.what());
  }
}

}  // namespace

int run_program(int argc, const char* const* argv, const Parts& parts) {
  const auto parsed = parse_command_line(argc, argv);
  if (const auto* finished = std::get_if<Finished>(&parsed)) {
    std::FILE* const stream = finished->exit_code == 0 ? stdout : stderr;
    std::fputs(finished->text.c_str(), stream);
    return std::fflush(stream) == 0 ? finished->exit_code : kFailed;
  }
  install_interrupt_handlers();
  // A reader that closes its pipe, and a file that grows over its limit, are errors of writing, not
  // deaths.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  return run_reporting(std::get<CommandLine>(parsed), parts);
}

void print(const std::string& text) {
  const bool written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  TORCH_CHECK(written, "standard output: writing failed. Is the disk full, or the reader gone?");
}

void print(const nlohmann::json& object) {
  // Names of files may hold bytes that are no UTF-8.
  print(object.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace laconic
