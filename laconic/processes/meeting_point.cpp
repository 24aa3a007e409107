#include "laconic/processes/meeting_point.h"

#include <c10/util/Exception.h>

#include <charconv>
#include <limits>
#include <string_view>

namespace laconic {
namespace {

using Variable = std::function<const char*(const char*)>;

/// What starters of processes call their numbers.
struct Starter {
  const char *rank, *size, *local_rank;
  bool needs_address;  ///< it also sets these for programs that it did not start several times
};
constexpr Starter kStarters[] = {
    {"RANK", "WORLD_SIZE", "LOCAL_RANK", false},
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", false},
    {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", false},
    {"SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", true}};

int64_t number(const char* name, const char* text, int64_t least, int64_t most) {
  int64_t value = 0;
  const std::string_view digits = text == nullptr ? "" : text;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  const bool is_number = failure == std::errc() && end == digits.data() + digits.size();
  TORCH_CHECK_VALUE(is_number && value >= least && value <= most, "[processes] ", name,
                    ": expected a number from ", least, " to ", most, ", got ",
                    text == nullptr ? "nothing" : "\"" + std::string(digits) + "\"",
                    ". Start the processes with torchrun, which sets it, or unset it for one "
                    "process.");
  return value;
}

const Starter* find_starter(const Variable& variable) {
  const bool has_address = variable("MASTER_ADDR") != nullptr;
  for (const Starter& starter : kStarters)
    if (variable(starter.size) != nullptr && (has_address || !starter.needs_address))
      return &starter;
  return nullptr;
}

}  // namespace

std::optional<MeetingPoint> find_meeting_point(const Variable& variable) {
  const Starter* starter = find_starter(variable);
  if (starter == nullptr) return std::nullopt;
  constexpr int64_t kMost = std::numeric_limits<int16_t>::max();
  MeetingPoint point;
  point.size = static_cast<int>(number(starter->size, variable(starter->size), 1, kMost));
  if (point.size == 1) return std::nullopt;
  point.rank = static_cast<int>(number(starter->rank, variable(starter->rank), 0, point.size - 1));
  const char* const local = variable(starter->local_rank);
  point.local_rank = local == nullptr
                         ? point.rank
                         : static_cast<int>(number(starter->local_rank, local, 0, point.rank));
  const char* const address = variable("MASTER_ADDR");
  TORCH_CHECK_VALUE(address != nullptr && *address != '\0', "[processes] ", starter->size, " is ",
                    point.size,
                    ", but MASTER_ADDR is not set: expected the host where process 0 "
                    "runs. Set it and MASTER_PORT (a free port there), or start with torchrun.");
  point.address = address;
  point.port = static_cast<uint16_t>(
      number("MASTER_PORT", variable("MASTER_PORT"), 1, std::numeric_limits<uint16_t>::max()));
  const char* const agent = variable("TORCHELASTIC_USE_AGENT_STORE");
  if (agent != nullptr && std::string_view(agent) == "True") {
    const char* const attempt = variable("TORCHELASTIC_RESTART_COUNT");
    point.agent_prefix = std::string("/worker/attempt_") + (attempt == nullptr ? "0" : attempt);
  }
  return point;
}

}  // namespace laconic
