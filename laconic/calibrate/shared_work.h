#pragma once

#include <vector>

#include "laconic/calibrate/engine.h"
#include "laconic/processes/processes.h"
#include "laconic/quant/quantizer/running.h"

namespace laconic {

/// What one process leaves to the others. With null processes all is its own.

/// Which of so many calibration windows this process runs.
/// @throws c10::ValueError for fewer windows than processes.
Share own_windows(int64_t windows, const Processes* processes);

/// Which shards are finished: as process 0 sees it, which writes them.
std::vector<bool> finished_shards(const NativeWriter& writer, int count, Processes* processes);

/// A layer that process `from` solved; `mine` counts there alone. It comes on `device`.
SolvedLayer shared_layer(Processes& processes, const SolvedLayer& mine, int64_t from,
                         at::Device device);

/// A static range of which each process saw its own windows.
RunningRange shared_range(Processes& processes, const RunningRange& mine);

/// A loss over windows of which each process has its own: numbers and gradients are those of all
/// windows asked for.
/// @param mine  of this process's windows, numbered from 0.
using BlockLossFunction = decltype(BlockTask::loss);
BlockLossFunction shared_loss(Processes& processes, const Share& windows, BlockLossFunction mine);

}  // namespace laconic
