#pragma once

#include <filesystem>

namespace laconic {

/// What a job that reads a float model asks of its paths before it reads.
/// @param command  begins messages: "quantize".
/// @throws c10::ValueError when `model` is no directory or holds a quantized model, and when `out`
/// lies in it or around it.
void check_float_model(const char* command, const std::filesystem::path& model,
                       const std::filesystem::path& out);

}  // namespace laconic
