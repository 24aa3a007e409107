#pragma once

#include <filesystem>
#include <functional>

#include "laconic/calibrate/engine.h"
#include "laconic/calibrate/statistics_store.h"

namespace laconic {

using SeeStatistics = std::function<void(StoredInput input, const FeatureStatistics& found)>;

/// Runs the windows through the float network block by block and shows the statistics of each
/// input of a linear layer when they are known (features, layers and dimensions of `input` are
/// set): one input's are in memory at a time.
/// @param options  batch, progress, device, host_memory and device_memory count.
/// @param working  where activations are that do not fit under the limit of memory.
/// @throws c10::ValueError naming the layer for an input with NaN or infinity; as run_engine for
/// windows and limits that do not fit the model.
MemoryReport gather_statistics(const LanguageModel& model, const at::Tensor& windows,
                               const EngineOptions& options, const std::filesystem::path& working,
                               const SeeStatistics& see);

}  // namespace laconic
