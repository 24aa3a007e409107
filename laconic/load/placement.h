#pragma once

#include <c10/core/Device.h>

#include <memory>
#include <string>

#include "laconic/load/language_model.h"

namespace laconic {

/// @param text  "cpu", "cuda", "cuda:1".
/// @throws c10::ValueError for another word; c10::NotImplementedError when this build or machine
/// has no such device.
at::Device parse_device(const std::string& text);

/// The parameters as they come to a device; the same ones on the CPU. On CUDA matrix products use
/// TF32 from now on: 10 bits behind the point of each factor, sums in float32.
/// @param resident  keeps there what was asked for once; else each use moves it anew.
std::shared_ptr<const graph::Parameters> placed(std::shared_ptr<const graph::Parameters> parameters,
                                                at::Device device, bool resident);

/// Lets the model compute on a device, by `placed` parameters: resident ones for evaluation, not
/// for the block engine.
void place(LanguageModel& model, at::Device device, bool resident);

}  // namespace laconic
