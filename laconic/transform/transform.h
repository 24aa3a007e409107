#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "laconic/calibrate/engine.h"
#include "laconic/load/language_model.h"
#include "laconic/transform/needs.h"
#include "laconic/transform/network.h"

namespace laconic {

/// What a transform did to a network, one sentence each.
struct TransformReport {
  std::string name;
  std::vector<std::string> done;
  std::vector<std::string> fallbacks;  ///< what it could not do as asked, and what it did instead
  MemoryReport memory = {};            ///< how it stayed under TransformContext::host_memory
};
/// Without memory: the same job gives the same bytes.
nlohmann::json to_json(const TransformReport& report);

/// A row of the table of transforms: a rewrite after which the network computes the same function,
/// to rounding.
struct Transform {
  const char* name;     ///< word in recipes: "fold_norms"
  const char* summary;  ///< one line
  const char* paper;    ///< "arXiv:2404.00456" or ""
  /// @param options  JSON object of this transform's options, checked.
  /// @throws c10::ValueError naming the node that stands in the way of what was asked for.
  TransformReport (*apply)(transform::FloatNetwork& network, const nlohmann::json& options);
  /// @throws c10::ValueError for an unknown key or a wrong value; called before any work.
  void (*check_options)(const nlohmann::json& options);
  /// Names of the options with defaults, as JSON.
  nlohmann::json (*default_options)();
  /// What it will take of memory. Null: nothing that the size of the network decides.
  transform::TransformNeeds (*needs)(const transform::FloatNetwork& network,
                                     const nlohmann::json& options) = nullptr;
  bool needs_windows = false;  ///< looks at what the network does on calibration windows
  bool runs_windows = false;   ///< and statistics of inputs do not say it (TransformContext)
};

std::span<const Transform> transforms();
/// @throws c10::ValueError listing the known names.
const Transform& find_transform(const std::string& name);

/// Applies a transform to a model: graph, parameters, layers, blocks; a head that was tied gets
/// tie_word_embeddings false in `config`.
/// @param context  what a transform with `needs_windows` looks at, and the memory that there is.
/// @throws c10::ValueError also for a limit of memory that is too small, before any weight is read.
TransformReport transform_model(LanguageModel& model, const Transform& transform,
                                const nlohmann::json& options,
                                const transform::TransformContext& context = {});

}  // namespace laconic
