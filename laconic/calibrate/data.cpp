#include "laconic/calibrate/data.h"

#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string_view>

#include "laconic/base/atomic_file.h"
#include "laconic/base/text.h"
#include "laconic/calibrate/npy.h"
#include "laconic/file/json/json.h"

namespace laconic {
namespace {

constexpr uint64_t kLargestText = uint64_t{1} << 32;

/// SplitMix64 (Steele et al. 2014): the same numbers with every standard library.
uint64_t next_random(uint64_t& state) {
  uint64_t z = (state += 0x9E3779B97F4A7C15U);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

/// `count` of `slots` slots, rising.
std::vector<int64_t> choose_slots(int64_t slots, int64_t count, uint64_t seed) {
  std::vector<int64_t> chosen(static_cast<size_t>(slots));
  std::iota(chosen.begin(), chosen.end(), 0);
  if (seed == 0) {
    for (int64_t i = 0; i < count; ++i) chosen[static_cast<size_t>(i)] = i * slots / count;
  } else {
    for (int64_t i = 0; i < count; ++i) {
      const auto other =
          i + static_cast<int64_t>(next_random(seed) % static_cast<uint64_t>(slots - i));
      std::swap(chosen[static_cast<size_t>(i)], chosen[static_cast<size_t>(other)]);
    }
  }
  chosen.resize(static_cast<size_t>(count));
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

void check_options(const CalibrationOptions& options) {
  TORCH_CHECK_VALUE(options.windows > 0, "[calibration] windows: expected at least 1, got ",
                    options.windows, ".");
  TORCH_CHECK_VALUE(options.length > 1, "[calibration] length: expected at least 2 tokens, got ",
                    options.length, ".");
}

/// The windows of a [slots, length] view of the ids.
CalibrationData take_slots(const at::Tensor& slots, int64_t stride,
                           const CalibrationOptions& options) {
  CalibrationData data;
  const int64_t count = std::min(options.windows, slots.size(0));
  const auto chosen = choose_slots(slots.size(0), count, options.seed);
  data.windows = at::empty({count, options.length}, slots.options());
  for (int64_t i = 0; i < count; ++i) {
    const int64_t slot = chosen[static_cast<size_t>(i)];
    data.windows[i].copy_(slots[slot]);
    data.offsets.push_back(slot * stride);
  }
  data.seed = options.seed;
  if (count < options.windows) {
    data.notes.push_back("the data hold " + std::to_string(count) + " windows of " +
                         std::to_string(options.length) + " tokens: all are used, " +
                         std::to_string(options.windows) + " were asked for.");
  }
  return data;
}

const Tokenizer& need_tokenizer(const Tokenizer* tokenizer, const std::string& where) {
  TORCH_CHECK_VALUE(tokenizer != nullptr, where,
                    ": the model has no tokenizer, so text cannot be encoded. Put tokenizer.json "
                    "into its directory, or "
                    "give token ids as .npy.");
  return *tokenizer;
}

void check_utf8(std::string_view text, const std::string& where) {
  size_t bad = 0;
  TORCH_CHECK_VALUE(is_utf8(text, &bad), where, ": not UTF-8 at byte ", bad,
                    ". Convert the text first (iconv).");
}

/// The text of one JSON line.
std::string text_of(const nlohmann::json& line, const std::string& field,
                    const std::string& where) {
  TORCH_CHECK_VALUE(line.is_object(), where, ": expected a JSON object, got ", line.type_name(),
                    ".");
  if (line.contains(field)) {
    TORCH_CHECK_VALUE(line[field].is_string(), where, ", field ", field, ": expected a text, got ",
                      line[field].type_name(), ".");
    return line[field].get<std::string>();
  }
  std::vector<std::string> keys;
  for (const auto& [key, value] : line.items()) keys.push_back(key);
  TORCH_CHECK_VALUE(line.contains("messages") && line["messages"].is_array(), where,
                    ": expected a field \"", field,
                    "\" or chat turns \"messages\", got the fields ", join(keys, ", "), ".");
  std::string text;
  for (const auto& turn : line["messages"]) {
    TORCH_CHECK_VALUE(turn.is_object() && turn.contains("content") && turn["content"].is_string(),
                      where,
                      ", messages: expected turns {\"role\", \"content\"} with text as content.");
    text += turn["content"].get<std::string>() + "\n";
  }
  return text;
}

std::vector<int64_t> encode_lines(std::string_view text, const Tokenizer& tokenizer,
                                  const std::string& field, const std::string& where) {
  std::vector<int64_t> ids;
  int64_t number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string place = where + ":" + std::to_string(number);
    const auto encoded = tokenizer.encode(text_of(parse_json(line, place), field, place));
    ids.insert(ids.end(), encoded.begin(), encoded.end());
  }
  return ids;
}

at::Tensor to_tensor(const std::vector<int64_t>& ids) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(ids.size())}, at::TensorOptions(at::kLong));
  std::copy(ids.begin(), ids.end(), tensor.mutable_data_ptr<int64_t>());
  return tensor;
}

/// Ids [tokens] or [rows, tokens].
at::Tensor read_ids(const std::filesystem::path& path, const Tokenizer* tokenizer,
                    const std::string& field, const std::string& where) {
  const std::string extension = path.extension().string();
  if (extension == ".npy") return read_npy_ids(path);
  const std::string text = read_text_file(path, kLargestText);
  check_utf8(text, where);
  TORCH_CHECK_VALUE(!text.empty(), where, ": the file is empty. Give it some pages of text.");
  if (extension == ".jsonl" || extension == ".ndjson") {
    return to_tensor(encode_lines(text, need_tokenizer(tokenizer, where), field, where));
  }
  return to_tensor(need_tokenizer(tokenizer, where).encode(text));
}

}  // namespace

CalibrationData choose_windows(const at::Tensor& ids, const CalibrationOptions& options,
                               const std::string& where) {
  check_options(options);
  const int64_t length = options.length;
  CalibrationData data;
  if (ids.dim() == 2) {
    TORCH_CHECK_VALUE(ids.size(0) > 0 && ids.size(1) >= length, where, ": found ", ids.size(0),
                      " rows of ", ids.size(1), " tokens, needed rows of at least ", length,
                      ". Make calibration.length smaller.");
    data = take_slots(ids.narrow(1, 0, length), ids.size(1), options);
  } else {
    const int64_t slots = ids.size(0) / length;
    TORCH_CHECK_VALUE(slots > 0, where, ": too short to calibrate on: found ", ids.size(0),
                      " tokens, needed at least ", length, " (", options.windows, " windows of ",
                      length, " are ", options.windows * length,
                      "). Give more text, or make calibration.length smaller.");
    data = take_slots(ids.narrow(0, 0, slots * length).view({slots, length}), length, options);
  }
  data.tokens = ids.numel();
  return data;
}

CalibrationData load_calibration(const std::filesystem::path& path, const Tokenizer* tokenizer,
                                 int64_t vocabulary, const CalibrationOptions& options) {
  const std::string where = "[calibration] " + path.string();
  const at::Tensor ids = read_ids(path, tokenizer, options.field, where);
  CalibrationData data = choose_windows(ids, options, where);
  const int64_t least = data.windows.min().item<int64_t>(),
                largest = data.windows.max().item<int64_t>();
  TORCH_CHECK_VALUE(least >= 0 && largest < vocabulary, where, ": expected token ids from 0 to ",
                    vocabulary - 1, ", got ", least < 0 ? least : largest,
                    ". The ids are of another tokenizer.");
  data.source = path;
  return data;
}

nlohmann::json to_json(const CalibrationData& data) {
  return {{"source", data.source.filename().string()},
          {"tokens", data.tokens},
          {"windows", data.windows.size(0)},
          {"length", data.windows.size(1)},
          {"seed", data.seed},
          {"offsets", data.offsets},
          {"notes", data.notes}};
}

}  // namespace laconic
