#pragma once

#include <c10/core/TensorOptions.h>

#include <memory>
#include <span>

#include "laconic/model/config.h"

namespace laconic::model {

class LanguageModule;
using Options = c10::TensorOptions;  ///< where parameters live
using MakeModule = std::shared_ptr<LanguageModule> (*)(const Config&, const Options&);

/// A row of the table of architectures.
struct Architecture {
  const char* name;  ///< in "architectures" of config.json
  const char*
      prefix;       ///< of the body's tensors; some checkpoints are of the body alone and lack it
  MakeModule make;  ///< @throws as Config for a field that is absent, wrong or not supported
  const char*
      ignored;  ///< pattern "re:..." of stored tensors that are no parameters (masks, frequencies)
  /// Fields that it computes and most others do not, with a blank before and behind each.
  const char* features = "";
};

std::span<const Architecture> architectures();

/// The architecture that the configuration names.
/// @throws c10::ValueError listing the known ones; c10::NotImplementedError for a model that is
/// quantized already,
///         or a field that asks for what none of the architectures here does.
const Architecture& find_architecture(const Config& config);

std::shared_ptr<LanguageModule> make_llama(const Config& config, const Options& options);
std::shared_ptr<LanguageModule> make_mistral(const Config& config, const Options& options);
std::shared_ptr<LanguageModule> make_qwen2(const Config& config, const Options& options);
std::shared_ptr<LanguageModule> make_qwen3(const Config& config, const Options& options);
std::shared_ptr<LanguageModule> make_phi3(const Config& config, const Options& options);
std::shared_ptr<LanguageModule> make_gemma2(const Config& config, const Options& options);
std::shared_ptr<LanguageModule> make_gemma3(const Config& config, const Options& options);
std::shared_ptr<LanguageModule> make_mixtral(const Config& config, const Options& options);
std::shared_ptr<LanguageModule> make_qwen2_moe(const Config& config, const Options& options);
std::shared_ptr<LanguageModule> make_qwen3_moe(const Config& config, const Options& options);
std::shared_ptr<LanguageModule> make_gpt2(const Config& config, const Options& options);
std::shared_ptr<LanguageModule> make_gpt_neox(const Config& config, const Options& options);
std::shared_ptr<LanguageModule> make_opt(const Config& config, const Options& options);

}  // namespace laconic::model
