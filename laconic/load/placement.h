#pragma once

#include <c10/core/Device.h>

#include <string>

#include "laconic/load/language_model.h"

namespace laconic {

/// @param text  "cpu", "cuda", "cuda:1".
/// @throws c10::ValueError for another word; c10::NotImplementedError when this build or machine
/// has no such device.
at::Device parse_device(const std::string& text);

/// Lets the model compute on a device: its parameters come there when they are asked for. Nothing
/// changes on the CPU. On CUDA matrix products use TF32 from now on: 10 bits behind the point of
/// each factor, sums in float32.
/// @param resident  keeps them there (evaluation); else each use moves them anew (block engine).
void place(LanguageModel& model, at::Device device, bool resident);

}  // namespace laconic
