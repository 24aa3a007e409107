#include "laconic/calibrate/statistics_store.h"

#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <variant>

#include "laconic/base/hash.h"
#include "laconic/calibrate/input_moments.h"
#include "laconic/file/json/json.h"
#include "laconic/file/safetensors/safetensors.h"
#include "laconic/quant/quantizer/running.h"

namespace laconic {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kStatisticsFile = "statistics.json";
constexpr int64_t kLargestCount = int64_t{1} << 40;
constexpr int64_t kLargestFeatures = int64_t{1} << 24;

fs::path input_path(const fs::path& directory, size_t index) {
  std::array<char, 48> name{};
  std::snprintf(name.data(), name.size(), "input-%05zu.safetensors", index);
  return directory / name.data();
}

std::string fingerprint_of_file(const fs::path& path) {
  Fingerprint fingerprint;
  fingerprint.add_file(path);
  return fingerprint.text();
}

/// Fields of an object from outside; messages begin with the file and the field.
struct Fields {
  const json& object;
  std::string where;  ///< "[statistics] DIR/statistics.json: inputs.3"

  const json& at(const char* key) const {
    TORCH_CHECK_VALUE(object.is_object() && object.contains(key), where, ": expected a field ", key,
                      ". Gather the statistics again.");
    return object[key];
  }
  Fields inside(const char* key) const { return {at(key), where + ": " + key}; }
  const json& list(const char* key) const {
    TORCH_CHECK_VALUE(at(key).is_array(), where, ": ", key, ": expected a list.");
    return at(key);
  }
  std::string text(const char* key) const {
    TORCH_CHECK_VALUE(at(key).is_string(), where, ": ", key, ": expected a text.");
    return at(key).get<std::string>();
  }
  int64_t count(const char* key, int64_t least, int64_t most) const {
    const json& value = at(key);
    const bool fits =
        value.is_number_integer() && value.get<int64_t>() >= least && value.get<int64_t>() <= most;
    TORCH_CHECK_VALUE(fits, where, ": ", key, ": expected a whole number from ", least, " to ",
                      most, ", got ", value.dump(), ".");
    return value.get<int64_t>();
  }
  double number(const char* key) const {
    TORCH_CHECK_VALUE(at(key).is_number(), where, ": ", key, ": expected a number.");
    return at(key).get<double>();
  }
  std::vector<std::string> texts(const char* key) const {
    std::vector<std::string> words;
    for (const json& word : list(key)) {
      TORCH_CHECK_VALUE(word.is_string(), where, ": ", key, ": expected texts.");
      words.push_back(word.get<std::string>());
    }
    return words;
  }
};

json to_json(const StatisticsOrigin& origin) {
  return {{"model", origin.model},
          {"text", origin.text},
          {"calibration",
           {{"windows", origin.asked.windows},
            {"length", origin.asked.length},
            {"seed", origin.asked.seed},
            {"field", origin.asked.field}}},
          {"data",
           {{"length", origin.length},
            {"offsets", origin.data.offsets},
            {"tokens", origin.data.tokens},
            {"notes", origin.data.notes}}}};
}

StatisticsOrigin read_origin(const Fields& fields) {
  StatisticsOrigin origin{.model = fields.text("model"), .text = fields.text("text"), .asked = {}};
  const Fields asked = fields.inside("calibration"), data = fields.inside("data");
  origin.asked.windows = asked.count("windows", 1, kLargestCount);
  origin.asked.length = asked.count("length", 1, kLargestCount);
  const int64_t most = std::numeric_limits<int64_t>::max();
  origin.asked.seed = static_cast<uint64_t>(asked.count("seed", 0, most));
  origin.asked.field = asked.text("field");
  origin.length = data.count("length", 1, kLargestCount);
  origin.data.tokens = data.count("tokens", 1, kLargestCount);
  origin.data.seed = origin.asked.seed;
  origin.data.notes = data.texts("notes");
  for (const json& offset : data.list("offsets")) {
    TORCH_CHECK_VALUE(offset.is_number_integer() && offset.get<int64_t>() >= 0, data.where,
                      ": offsets: expected places in the text, got ", offset.dump(), ".");
    origin.data.offsets.push_back(offset.get<int64_t>());
  }
  return origin;
}

json to_json(const StoredInput& input) {
  return {{"layers", input.layers}, {"features", input.features},
          {"rows", input.rows},     {"dimensions", input.dimensions},
          {"energy", input.energy}, {"fingerprint", input.fingerprint}};
}

StoredInput read_input(const Fields& fields) {
  return {.layers = fields.texts("layers"),
          .features = fields.count("features", 1, kLargestFeatures),
          .rows = fields.count("rows", 0, kLargestCount),
          .dimensions = fields.count("dimensions", 2, 16),
          .energy = fields.number("energy"),
          .fingerprint = fields.text("fingerprint")};
}

}  // namespace

void StatisticsWriter::add(StoredInput input, const FeatureStatistics& found) {
  input.rows = found.rows;
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  if (found.rows > 0) {
    const at::Tensor hessian = found.hessian.cpu(), squares = hessian.diagonal().contiguous();
    input.energy = squares.sum(at::kDouble).item<double>();
    tensors = {{"hessian", hessian},
               {"minimum", found.minimum.cpu()},
               {"maximum", found.maximum.cpu()},
               {"mean", found.mean.cpu()},
               {"magnitude", found.magnitude.cpu()},
               {"mean_square", squares}};
  }
  const fs::path path = input_path(working_, inputs_.size());
  write_safetensors(path, tensors, {{"layer", input.layers.front()}});
  input.fingerprint = fingerprint_of_file(path);
  inputs_.push_back(std::move(input));
}

void StatisticsWriter::finish(const StatisticsOrigin& origin) const {
  json manifest = to_json(origin);
  manifest["format_version"] = StatisticsStore::kFormatVersion;
  manifest["inputs"] = json::array();
  for (const StoredInput& input : inputs_) manifest["inputs"].push_back(to_json(input));
  write_json_file(working_ / kStatisticsFile, manifest);
}

bool StatisticsStore::is_store(const fs::path& directory) {
  return fs::is_regular_file(directory / kStatisticsFile);
}

StatisticsStore::StatisticsStore(fs::path directory) : directory_(std::move(directory)) {
  TORCH_CHECK_VALUE(is_store(directory_), "[statistics] ", directory_.string(),
                    ": expected a directory that `laconic calibrate` wrote, with ", kStatisticsFile,
                    fs::exists(directory_) ? ", found none in it." : ", got no such path.");
  const fs::path path = directory_ / kStatisticsFile;
  const json manifest = read_json_file(path);
  const Fields fields{manifest, "[statistics] " + path.string()};
  const int64_t version = fields.count("format_version", 1, kLargestCount);
  TORCH_CHECK_VALUE(version == kFormatVersion, fields.where, ": format_version ", version,
                    ": this program reads ", kFormatVersion, ". Gather the statistics again.");
  origin_ = read_origin(fields);
  for (const json& input : fields.list("inputs")) {
    const std::string number = std::to_string(inputs_.size());
    inputs_.push_back(read_input({input, fields.where + ": inputs." + number}));
    for (const std::string& layer : inputs_.back().layers)
      TORCH_CHECK_VALUE(by_layer_.emplace(layer, inputs_.size() - 1).second, fields.where,
                        ": layer ", layer, " is there twice.");
  }
}

const StoredInput* StatisticsStore::find(const std::string& layer) const {
  const auto found = by_layer_.find(layer);
  return found == by_layer_.end() ? nullptr : &inputs_[found->second];
}

const StoredInput& StatisticsStore::input_of(const std::string& layer) const {
  const StoredInput* input = find(layer);
  TORCH_CHECK_VALUE(input != nullptr, "[statistics] ", directory_.string(), ": layer ", layer,
                    " has none in it. Gather them again, of this model.");
  return *input;
}

FeatureStatistics StatisticsStore::features(const std::string& layer) const {
  const StoredInput& input = input_of(layer);
  const fs::path path = input_path(directory_, by_layer_.at(layer));
  const auto file = SafetensorsFile::open(path);
  TORCH_CHECK_VALUE(fingerprint_of_file(path) == input.fingerprint, "[statistics] ", path.string(),
                    ": it is not what was written for layer ", layer,
                    ": damaged, or of other statistics. Gather them again.");
  FeatureStatistics found{.rows = input.rows};
  if (found.rows == 0) return found;
  const auto read = [&](const char* name, const std::vector<int64_t>& shape) {
    const SafetensorsEntry* entry = file->find(name);
    const bool fits =
        entry != nullptr && entry->shape == shape && entry->dtype == at::ScalarType::Float;
    TORCH_CHECK_VALUE(fits, "[statistics] ", path.string(), ": expected ", name, " of shape ",
                      at::IntArrayRef(shape), ", float32. Gather them again.");
    const at::Tensor tensor = file->tensor(name).clone();  // solvers may write to theirs
    file->drop(name);
    return tensor;
  };
  const int64_t n = input.features;
  found.hessian = read("hessian", {n, n});
  found.minimum = read("minimum", {n});
  found.maximum = read("maximum", {n});
  found.mean = read("mean", {n});
  found.magnitude = read("magnitude", {n});
  return found;
}

LayerStatistics StatisticsStore::layer(const std::string& layer, bool needs_hessian,
                                       const QuantSpec* static_input, at::Device device) const {
  const StoredInput& input = input_of(layer);
  FeatureStatistics found = features(layer);
  LayerStatistics statistics;
  if (needs_hessian) {
    double largest = 0;
    if (found.rows > 0)
      largest = std::max(-found.minimum.min().item<double>(), found.maximum.max().item<double>());
    if (found.rows == 0) found.hessian = at::zeros({input.features, input.features}, at::kFloat);
    const at::Tensor mean = found.rows > 0 ? found.mean.to(device) : at::Tensor();
    statistics = layer_statistics(layer, {found.hessian.to(device), found.rows, largest, mean},
                                  origin_.window_tokens());
  }
  if (static_input == nullptr) return statistics;
  RunningRange range(*static_input);
  if (found.rows > 0) {
    // Two rows that have the extremes of all: of the same rank, which the scale's shape follows.
    std::vector<int64_t> shape(static_cast<size_t>(input.dimensions), 1);
    shape.back() = input.features;
    shape.at(shape.size() - 2) = 2;
    range.add(at::stack({found.minimum, found.maximum}).view(shape));
  }
  try {
    statistics.input = range.parameters();
  } catch (const c10::ValueError& error) {
    TORCH_CHECK_VALUE(false, "[engine] layer ", layer,
                      ": its input on the calibration data: ", error.what_without_backtrace());
  }
  return statistics;
}

void StatisticsStore::check_serves(const LanguageModel& model,
                                   const std::vector<LayerPlan>& plans) const {
  constexpr const char* kMend = " Give --calibration in place of --statistics";
  for (const LayerPlan& plan : plans) {
    if (!plan.needs_hessian && !plan.has_static_input()) continue;
    const std::string where = "[statistics] layer " + plan.layer.name + ": ";
    TORCH_CHECK_VALUE(!plan.is_joint, where, "its solver learns from what the calibration text ",
                      "does in the whole block, which statistics of inputs do not say.", kMend,
                      ", or choose a solver of single layers, such as gptq.");
    TORCH_CHECK_VALUE(!plan.needs_mismatch, where, "its solver, or calibration.follow_float, ",
                      "compares the float network with the one quantized so far, and the ",
                      "statistics are of the float network alone.", kMend,
                      ", or choose a solver that needs one network, such as gptq.");
    TORCH_CHECK_VALUE(model.changed.empty() && model.graph_changes.empty(), where,
                      "the recipe's transforms changed the network, and the statistics are of the ",
                      "one before.", kMend, ", or leave the transforms out.");
    TORCH_CHECK_VALUE(!plan.has_static_input() || holds_range_of(*plan.input), where,
                      "the static scale of its input needs more than the smallest and the largest ",
                      "number of each feature.", kMend,
                      ", or choose statistic: absmax or min_max and granularity: tensor.");
    const auto shape = model.parameters->describe(plan.layer.weight_name).shape;
    const int64_t width = shape.at(plan.layer.transposed ? 0 : 1);
    const int64_t stored = input_of(plan.layer.name).features;
    TORCH_CHECK_VALUE(stored == width, where, "expected statistics of ", width,
                      " features, got those of ", stored, ". They are of another model.");
  }
}

bool StatisticsStore::holds_range_of(const QuantSpec& static_input) {
  const auto* channel = std::get_if<PerChannel>(&static_input.granularity);
  const bool is_by_feature = channel != nullptr && (channel->axis == -1 || channel->axis == 2);
  return RunningRange::needs_extremes_alone(static_input) &&
         (is_by_feature || std::holds_alternative<PerTensor>(static_input.granularity));
}

}  // namespace laconic
