#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "laconic/file/json/json.h"
#include "laconic/file/safetensors/safetensors.h"
#include "laconic/graph/run.h"
#include "laconic/load/language_model.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using Json = nlohmann::json;
using testing::expect_error;
using testing::repository;
using testing::TemporaryDirectory;

constexpr const char* kTinyLm = "assets/tiny-lm";

/// The small model with another config.json; its tensors are linked.
class ChangedModel {
 public:
  explicit ChangedModel(const std::function<void(Json&)>& change) {
    const auto original = repository() / kTinyLm;
    for (const auto& entry : std::filesystem::directory_iterator(original))
      if (entry.path().filename() != "config.json")
        std::filesystem::create_symlink(entry.path(),
                                        directory_ / entry.path().filename().string());
    Json config = read_json_file(original / "config.json");
    change(config);
    write_json_file(directory_ / "config.json", config);
  }
  const std::filesystem::path& path() const { return directory_.path(); }

 private:
  TemporaryDirectory directory_;
};

template <typename Error = c10::ValueError>
void expect_refused(const std::function<void(Json&)>& change, std::vector<std::string> words) {
  const ChangedModel model(change);
  words.push_back((model.path() / "config.json").string());
  expect_error<Error>([&] { load_language_model(model.path()); }, words);
}

std::function<void(Json&)> with(const std::string& key, const Json& value) {
  return [=](Json& config) { config[key] = value; };
}

TEST(ConfigFault, EachNeededFieldIsNamedWhenItIsMissing) {
  for (const char* key :
       {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
        "num_attention_heads", "max_position_embeddings", "rms_norm_eps", "hidden_act"}) {
    SCOPED_TRACE(key);
    expect_refused([&](Json& config) { config.erase(key); },
                   {"\"" + std::string(key) + "\" is missing"});
    expect_refused(with(key, nullptr), {"\"" + std::string(key) + "\" is missing"});
  }
}

TEST(ConfigFault, AnUnknownArchitectureListsTheKnownOnes) {
  const std::vector<std::string> known = {
      "LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM",
      "GPT2LMHeadModel",  "GPTNeoXForCausalLM", "OPTForCausalLM"};
  auto words = known;
  words.push_back("BertForMaskedLM");
  expect_refused(with("architectures", {"BertForMaskedLM"}), words);
  expect_refused(with("architectures", Json::array()), known);
  expect_refused(with("architectures", "LlamaForCausalLM"), {"a list of texts"});
  expect_refused([](Json& config) { config.erase("architectures"); }, {"\"architectures\""});
}

TEST(ConfigFault, WrongTypesAreNamed) {
  expect_refused(with("hidden_size", "256"), {"\"hidden_size\"", "whole number", "\"256\""});
  expect_refused(with("hidden_size", 256.5), {"\"hidden_size\"", "whole number", "256.5"});
  expect_refused(with("hidden_size", Json::array({256})), {"\"hidden_size\"", "[256]"});
  expect_refused(with("rms_norm_eps", "small"), {"\"rms_norm_eps\"", "a number"});
  expect_refused(with("tie_word_embeddings", 1), {"\"tie_word_embeddings\"", "true or false"});
  expect_refused(with("hidden_act", 3), {"\"hidden_act\"", "a text"});
  expect_refused(with("rope_scaling", "linear"), {"\"rope_scaling\"", "an object"});
}

TEST(ConfigFault, AbsurdNumbersAreNamed) {
  for (const char* key :
       {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
        "num_attention_heads", "num_key_value_heads", "head_dim", "max_position_embeddings"}) {
    for (const Json& value : {Json(-1), Json(0), Json(int64_t{1} << 40), Json(uint64_t{1} << 63)}) {
      SCOPED_TRACE(key + value.dump());
      expect_refused(with(key, value), {"\"" + std::string(key) + "\"", value.dump()});
    }
  }
  expect_refused(
      [](Json& config) {
        config["num_attention_heads"] = config["num_key_value_heads"] = 7;
        config.erase("head_dim");
      },
      {"\"num_attention_heads\"", "divisor of hidden_size, 256"});
  expect_refused(with("num_key_value_heads", 3), {"\"num_key_value_heads\"", "divisor"});
  expect_refused(with("rms_norm_eps", -1e-5), {"\"rms_norm_eps\"", "above 0"});
  expect_refused(with("rope_parameters", {{"rope_theta", 0}}), {"rope_theta", "above 1"});
  expect_refused(
      [](Json& config) {
        config["num_attention_heads"] = 1 << 20;
        config["num_key_value_heads"] = 1;
        config["head_dim"] = 1 << 20;
      },
      {"head_dim", "1048576"});
}

TEST(ConfigFault, FeaturesThatNobodyComputesAreRefused) {
  const auto refused = [](const std::string& key, const Json& value) {
    SCOPED_TRACE(key);
    expect_refused<c10::NotImplementedError>(with(key, value), {key, "not supported"});
  };
  refused("attn_logit_softcapping", 30.0);
  refused("final_logit_softcapping", 30.0);
  refused("quantization_config", {{"quant_method", "gptq"}});
  refused("sliding_window", 64);
  refused("use_sliding_window", true);
  refused("num_local_experts", 8);
  refused("partial_rotary_factor", 0.5);
  refused("use_parallel_residual", true);
  refused("use_qk_norm", true);
  refused("no_rope_layers", {0, 1});
  refused("attention_multiplier", 0.5);
  refused("layer_types", {"sliding_attention", "full_attention", "full_attention", "full_attention",
                          "full_attention", "full_attention"});
  refused("rope_scaling", {{"type", "spiral"}, {"factor", 2.0}});
  refused("rope_parameters", {{"rope_type", "default"}, {"partial_rotary_factor", 0.5}});
  expect_refused(with("hidden_act", "softsign"), {"\"hidden_act\"", "silu", "softsign"});
}

TEST(ConfigFault, RopeScalingWithoutItsNumbersIsNamed) {
  expect_refused(with("rope_scaling", {{"type", "linear"}}), {"rope_scaling.factor", "missing"});
  expect_refused(with("rope_scaling", {{"type", "linear"}, {"factor", -2}}),
                 {"rope_scaling.factor", "above 0"});
  expect_refused(with("rope_scaling", {{"rope_type", "llama3"}, {"factor", 8.0}}),
                 {"rope_scaling.low_freq_factor", "missing"});
  expect_refused(with("rope_scaling",
                      {{"rope_type", "longrope"}, {"short_factor", {1.0}}, {"long_factor", {1.0}}}),
                 {"rope_scaling.short_factor", "a list of"});
}

TEST(ConfigFault, AFileThatIsNoConfigurationIsNamed) {
  const TemporaryDirectory directory;
  const auto file = directory / "config.json";
  const auto refused = [&](const std::string& text, const std::vector<std::string>& words) {
    std::ofstream(file) << text;
    expect_error<c10::ValueError>([&] { load_language_model(directory.path()); }, words);
  };
  expect_error<c10::ValueError>([&] { load_language_model(directory.path()); },
                                {file.string(), "no such file"});
  refused("", {file.string()});
  refused("{\"architectures\": [", {file.string()});
  refused("[1]", {file.string(), "JSON object"});
  refused(std::string(100000, '['), {file.string(), "deep"});
  refused("{\"hidden_size\": 1, \"hidden_size\": 2}", {file.string(), "hidden_size", "twice"});
  expect_error<c10::ValueError>([&] { load_language_model(directory / "absent"); },
                                {(directory / "absent").string(), "got no such path"});
}

/// The small model with other tensors.
class ChangedTensors {
 public:
  using Tensors = std::map<std::string, at::Tensor>;
  explicit ChangedTensors(const std::function<void(Tensors&)>& change) {
    const auto original = repository() / kTinyLm;
    std::filesystem::copy_file(original / "config.json", directory_ / "config.json");
    const auto checkpoint = Checkpoint::open(original);
    Tensors tensors;
    for (const std::string& name : checkpoint->names()) tensors[name] = checkpoint->tensor(name);
    change(tensors);
    write_safetensors(directory_ / "model.safetensors", {tensors.begin(), tensors.end()});
  }
  const std::filesystem::path& path() const { return directory_.path(); }

 private:
  TemporaryDirectory directory_;
};

constexpr const char* kWeight = "model.layers.1.mlp.up_proj.weight";

TEST(CheckpointFault, TensorsThatDoNotFitTheConfigurationAreNamed) {
  const auto refused = [](const std::function<void(ChangedTensors::Tensors&)>& change,
                          std::vector<std::string> words) {
    const ChangedTensors model(change);
    words.push_back(model.path().string());
    expect_error<c10::ValueError>([&] { load_language_model(model.path()); }, words);
  };
  refused([](auto& tensors) { tensors.erase(kWeight); }, {kWeight, "missing"});
  refused([](auto& tensors) { tensors["model.layers.1.mlp.extra"] = at::ones({2}); },
          {"model.layers.1.mlp.extra", "no place"});
  refused(
      [](auto& tensors) {
        tensors[kWeight] = at::ones({2, 3});
      },
      {kWeight, "expected shape", "got [2, 3]"});
  refused([](auto& tensors) { tensors[kWeight] = tensors[kWeight].to(at::kInt); },
          {kWeight, "expected F32"});
}

TEST(CheckpointFault, AWeightThatIsNotFiniteIsNamedWithItsPlace) {
  const ChangedTensors model([](auto& tensors) {
    tensors[kWeight] = tensors[kWeight].clone();
    tensors[kWeight][3][5] = std::nan("");
  });
  const auto loaded = load_language_model(model.path());
  expect_error<c10::ValueError>([&] { loaded.parameters->get(kWeight); },
                                {model.path().string(), kWeight, "1 of", "[3, 5]", "NaN"});
}

TEST(CheckpointFault, TheProgramSaysItInOneLineAndExitsWithTwo) {
  const ChangedModel model(with("hidden_size", -5));
  const auto result =
      testing::run_program({testing::program(), "evaluate", "perplexity", model.path(), "--text",
                            repository() / "assets/text/evaluation.txt"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.output, "");
  EXPECT_THAT(result.errors, ::testing::HasSubstr("hidden_size"));
  EXPECT_EQ(std::count(result.errors.begin(), result.errors.end(), '\n'), 1) << result.errors;
}

}  // namespace
}  // namespace laconic
