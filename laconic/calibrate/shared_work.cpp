#include "laconic/calibrate/shared_work.h"

#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>

namespace laconic {

Share own_windows(int64_t windows, const Processes* processes) {
  if (processes == nullptr) return {0, windows};
  TORCH_CHECK_VALUE(windows >= processes->size(), "[processes] there are ", windows,
                    " calibration windows for ", processes->size(),
                    " processes: expected at least one each. Start fewer processes, or raise "
                    "calibration.windows.");
  return share_of(windows, processes->rank(), processes->size());
}

std::vector<bool> finished_shards(const NativeWriter& writer, int count, Processes* processes) {
  std::string marks;
  for (int i = 0; i < count; ++i) marks += writer.has_shard(i) ? '1' : '0';
  if (processes != nullptr) marks = share_text(*processes, marks, 0);
  std::vector<bool> finished;
  for (const char mark : marks) finished.push_back(mark == '1');
  return finished;
}

SolvedLayer shared_layer(Processes& processes, const SolvedLayer& mine, int64_t from,
                         at::Device device) {
  const QuantParameters& found = mine.parameters;
  const auto tensors = share_tensors(
      processes, {mine.codes, found.scale, found.zero_point, found.choice, found.plane_scales},
      from, device);
  const std::string notes = share_text(processes, nlohmann::json(mine.notes).dump(), from);
  QuantParameters parameters{tensors.at(1), tensors.at(2)};
  parameters.choice = tensors.at(3);
  parameters.plane_scales = tensors.at(4);
  return {tensors.at(0), std::move(parameters),
          nlohmann::json::parse(notes).get<std::vector<std::string>>()};
}

RunningRange shared_range(Processes& processes, const RunningRange& mine) {
  RunningRange all(mine.spec());
  for (const at::Tensor& state : gather_any(processes, mine.state())) all.merge(state);
  return all;
}

}  // namespace laconic
