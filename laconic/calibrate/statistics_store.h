#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "laconic/calibrate/data.h"
#include "laconic/calibrate/engine.h"
#include "laconic/calibrate/feature_moments.h"

namespace laconic {

/// What statistics were gathered on.
struct StatisticsOrigin {
  std::string model, text;    ///< fingerprints: of the model directory, of the calibration text
  CalibrationOptions asked;   ///< as the user said
  int64_t length = 0;         ///< tokens of a window
  CalibrationData data = {};  ///< windows not kept
  int64_t window_tokens() const { return static_cast<int64_t>(data.offsets.size()) * length; }
};

/// Of one input, which all of `layers` multiply.
struct StoredInput {
  std::vector<std::string> layers = {};
  int64_t features = 0, rows = 0;
  int64_t dimensions = 0;        ///< of the value in the graph: 3 for [windows, length, features]
  double energy = 0;             ///< mean of |x|^2, the Hessian's trace
  std::string fingerprint = {};  ///< of the file
};

/// A directory being written: input-N.safetensors, one an input, and at the end statistics.json.
class StatisticsWriter {
 public:
  /// @param working  an empty directory.
  explicit StatisticsWriter(std::filesystem::path working) : working_(std::move(working)) {}
  void add(StoredInput input, const FeatureStatistics& found);
  void finish(const StatisticsOrigin& origin) const;

 private:
  std::filesystem::path working_;
  std::vector<StoredInput> inputs_;
};

/// Statistics of a float network's inputs that `laconic calibrate` wrote. A file is read, and held
/// against its fingerprint, when its statistics are asked for.
class StatisticsStore {
 public:
  static constexpr int kFormatVersion = 1;
  static bool is_store(const std::filesystem::path& directory);  ///< statistics.json is there
  /// @throws c10::ValueError naming file and field for what is malformed or of a newer version.
  explicit StatisticsStore(std::filesystem::path directory);

  const std::filesystem::path& directory() const { return directory_; }
  const StatisticsOrigin& origin() const { return origin_; }
  const StoredInput* find(const std::string& layer) const;  ///< nullptr when absent

  /// @throws c10::ValueError naming the file for one that is absent, damaged, or of other shapes;
  /// naming the layer when there are none of it.
  FeatureStatistics features(const std::string& layer) const;

  /// As the engine gathers them. @param static_input  the input's quantizer, if it is static.
  /// @throws c10::ValueError as `features`; for a static scale that needs more than extremes.
  LayerStatistics layer(const std::string& layer, bool needs_hessian, const QuantSpec* static_input,
                        at::Device device) const;

  /// That these plans need no more than what is here.
  /// @throws c10::ValueError naming the layer and why: its solver looks at the quantized network or
  /// at a whole block, transforms changed the network, a static scale needs more than extremes, the
  /// layer is absent or has another width.
  void check_serves(const LanguageModel& model, const std::vector<LayerPlan>& plans) const;

  /// Whether the range of a static scale follows from what is stored: the extremes of each feature.
  static bool holds_range_of(const QuantSpec& static_input);

 private:
  const StoredInput& input_of(const std::string& layer) const;

  std::filesystem::path directory_;
  StatisticsOrigin origin_;
  std::vector<StoredInput> inputs_;
  std::map<std::string, size_t> by_layer_;
};

}  // namespace laconic
