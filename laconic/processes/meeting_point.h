#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace laconic {

/// Where the processes of a job find each other.
struct MeetingPoint {
  std::string address;  ///< a host's name or number
  uint16_t port = 0;
  int rank = 0, size = 1;  ///< of this process, of all
  /// Somebody else keeps the store that they meet at (the agent of torchrun), under this prefix;
  /// empty: the process of rank 0 does.
  std::string agent_prefix;
  int local_rank = 0;  ///< among those on its machine; the rank where nobody says
  bool operator==(const MeetingPoint&) const = default;
};

/// As the environment tells: MASTER_ADDR and MASTER_PORT, and a rank and a number of processes
/// (RANK, WORLD_SIZE and LOCAL_RANK of torchrun, or those of Open MPI, of PMI, of Slurm). Nothing
/// without these, or for one process.
/// @param variable  its value; null when it is not set.
/// @throws c10::ValueError naming the variable that is missing or is no number in its range.
std::optional<MeetingPoint> find_meeting_point(
    const std::function<const char*(const char* name)>& variable);

}  // namespace laconic
