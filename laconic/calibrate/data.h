#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "laconic/load/tokenizer/tokenizer.h"

namespace laconic {

struct CalibrationOptions {
  int64_t windows = 128;  ///< at most; fewer when the data are shorter (a note says so)
  int64_t length = 512;   ///< tokens of a window
  /// Windows never overlap: the stream is cut into slots of `length` tokens. 0: slots spread evenly
  /// from the first on; else slots drawn without repetition by this seed, in the order of the
  /// stream.
  uint64_t seed = 0;
  std::string field = "text";  ///< of JSON lines
};

/// Windows to calibrate on, and where they come from.
struct CalibrationData {
  at::Tensor windows;            ///< [n, length] int64
  std::vector<int64_t> offsets;  ///< first token of each window in the stream
  std::filesystem::path source;
  uint64_t seed = 0;
  int64_t tokens = 0;  ///< of the whole stream
  std::vector<std::string> notes;
};

/// Reads calibration data by the file's extension:
///   .npy    token ids, int32 or int64: [tokens], a stream, or [rows, tokens], each row of at least
///   `length` a slot .jsonl, .ndjson  a JSON object a line: a string `field`, or chat turns
///   `messages` [{role, content}], whose
///           contents are joined by line breaks; lines are encoded one by one and joined
///   other   text, UTF-8, encoded whole
/// No special tokens are added.
/// @param tokenizer   may be null for .npy only.
/// @param vocabulary  ids must be below.
/// @throws c10::ValueError naming the file and the place (byte, line, header field) of what is
/// wrong; for data shorter
///         than one window it says how many tokens were found and needed.
CalibrationData load_calibration(const std::filesystem::path& path, const Tokenizer* tokenizer,
                                 int64_t vocabulary, const CalibrationOptions& options);

/// The same from ids that the caller has.
CalibrationData choose_windows(const at::Tensor& stream, const CalibrationOptions& options,
                               const std::string& where);

/// For the report: source, tokens, seed, length, offsets.
nlohmann::json to_json(const CalibrationData& data);

}  // namespace laconic
