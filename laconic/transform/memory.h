#pragma once

#include "laconic/calibrate/memory_plan.h"
#include "laconic/transform/transform.h"

namespace laconic::transform {

/// What the engine is told of memory and of the device.
EngineOptions engine_options(const TransformContext& context);

/// Chooses how the calibration windows go through the network that a transform looks at, for a
/// process that holds `resident` bytes now, so that TransformContext::host_memory and device_memory
/// are kept: fewer
/// windows at once, then what they carry on disk. Reads no weight.
/// @throws c10::ValueError for a limit that is too small, naming the transform, the layer that
/// needs the most, and what would do.
MemoryReport plan_transform(const LanguageModel& model, const Transform& transform,
                            const nlohmann::json& options, const TransformContext& context,
                            uint64_t resident);

}  // namespace laconic::transform
