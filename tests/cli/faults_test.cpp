// What comes from outside may be wrong: one message that says where and what to do, the right exit
// code, and nothing left behind.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <functional>

#include "laconic/file/safetensors/safetensors.h"
#include "tests/cli/run.h"

namespace laconic {
namespace {

using testing::expect_failure;
using testing::kCalibrationText;
using testing::kEvaluationText;
using testing::kTinyLm;
using testing::listing;

/// A folder with a copy of the small model to damage.
class Faults : public ::testing::Test {
 protected:
  Faults() { reset_model(); }

  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  std::string model() const { return path("model"); }
  std::string out() const { return path("out"); }

  void reset_model() {
    std::filesystem::remove_all(model());
    std::filesystem::copy(kTinyLm, model());
  }
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  nlohmann::json read_json(const std::string& name) {
    return nlohmann::json::parse(read_text_file(path(name)));
  }
  /// The command fails so, and the folder holds what it held before.
  void expect_refused(const std::vector<std::string>& arguments,
                      const std::vector<std::string>& words, int exit_code = 2) {
    const auto before = listing(directory_.path());
    expect_failure(arguments, exit_code, words);
    EXPECT_EQ(listing(directory_.path()), before);
  }
  void expect_quantize_refused(const std::vector<std::string>& options,
                               const std::vector<std::string>& words) {
    std::vector<std::string> arguments = {"quantize", model(), "--out", out(), "--quiet"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    expect_refused(arguments, words);
  }
  void expect_model_refused(const std::vector<std::string>& words) {
    expect_quantize_refused({"--recipe", "w4a16"}, words);
    expect_refused(
        {"evaluate", "perplexity", model(), "--text", kEvaluationText, "--windows", "1", "--quiet"},
        words);
  }
  /// Puts a bfloat16 number into a tensor.
  void put(const std::string& tensor, int64_t element, uint16_t bits) {
    const std::string file = path("model/model.safetensors");
    const auto begin = SafetensorsFile::open(file)->find(tensor)->begin;
    uint64_t header = 0;
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.read(reinterpret_cast<char*>(&header), sizeof(header));
    stream.seekp(static_cast<std::streamoff>(8 + header + begin) + 2 * element);
    stream.write(reinterpret_cast<const char*>(&bits), sizeof(bits));
  }

  testing::TemporaryDirectory directory_;
};

TEST_F(Faults, DamagedSafetensorsAreNamedWithTheOffset) {
  std::filesystem::resize_file(path("model/model.safetensors"), 1'000'000);
  expect_model_refused({"model.safetensors", "model.embed_tokens.weight", "cut short"});
  std::filesystem::resize_file(path("model/model.safetensors"), 4);
  expect_model_refused({"model.safetensors", "8 bytes", "got 4"});
  write("model/model.safetensors", std::string(8, '\xff') + "{}");
  expect_model_refused({"model.safetensors", "offset 0", "18446744073709551615"});
  write("model/model.safetensors", std::string("\x02\0\0\0\0\0\0\0", 8) + "{]");
  expect_model_refused({"model.safetensors", "byte"});
  std::filesystem::remove(path("model/model.safetensors"));
  expect_model_refused({"model", "model.safetensors"});
}

TEST_F(Faults, ConfigurationThatLacksAFieldOrIsUnknownIsNamed) {
  const auto config = read_json("model/config.json");
  const auto expect = [&](const std::function<void(nlohmann::json&)>& damage,
                          const std::vector<std::string>& words) {
    auto damaged = config;
    damage(damaged);
    write("model/config.json", damaged.dump());
    expect_model_refused(words);
  };
  expect([](auto& json) { json.erase("hidden_size"); }, {"config.json", "hidden_size", "missing"});
  expect([](auto& json) { json["hidden_size"] = "many"; }, {"config.json", "hidden_size", "many"});
  expect([](auto& json) { json["hidden_size"] = 512; }, {"expected shape", "512"});
  expect([](auto& json) { json["architectures"] = {"MambaForCausalLM"}; },
         {"config.json", "architectures", "MambaForCausalLM", "LlamaForCausalLM"});
  write("model/config.json", "{");
  expect_model_refused({"config.json", "JSON"});
  std::filesystem::remove(path("model/config.json"));
  expect_model_refused({"config.json", "no such file"});
}

TEST_F(Faults, TokenizerWithoutAVocabularyIsNamed) {
  auto tokenizer = read_json("model/tokenizer.json");
  tokenizer["model"].erase("vocab");
  write("model/tokenizer.json", tokenizer.dump());
  expect_model_refused({"tokenizer.json", "vocab"});
  std::filesystem::remove(path("model/tokenizer.json"));
  expect_quantize_refused({"--recipe", "w4a16-gptq", "--calibration", kCalibrationText},
                          {"no tokenizer", "tokenizer.json"});
}

TEST_F(Faults, NumbersThatAreNotFiniteAreNamedWithTheirTensor) {
  constexpr uint16_t kNan = 0x7fc0, kInfinity = 0x7f80;
  for (const auto& [tensor, bits] : {std::pair{"model.layers.2.mlp.up_proj.weight", kNan},
                                     std::pair{"model.embed_tokens.weight", kInfinity},
                                     std::pair{"model.norm.weight", kInfinity}}) {
    SCOPED_TRACE(tensor);
    reset_model();
    put(tensor, 10, bits);
    expect_model_refused({tensor, "NaN"});
    expect_refused({"compare", model(), "--recipes", "w8a16", "--text", kEvaluationText,
                    "--windows", "1", "--quiet"},
                   {tensor, "NaN"});
  }
}

TEST_F(Faults, CalibrationThatCannotServeIsNamed) {
  const auto expect = [&](const std::string& file, const std::vector<std::string>& words) {
    expect_quantize_refused({"--recipe", "w4a16-gptq", "--calibration", file}, words);
  };
  expect(path("absent.txt"), {"absent.txt", "No such file"});
  expect(model(), {"model", "regular file"});
  expect(write("empty.txt", ""), {"empty.txt", "empty"});
  expect(write("short.txt", "Hello."), {"short.txt", "too short", "needed at least 512"});
  expect(write("bad.txt", "caf\xe9"), {"bad.txt", "byte 3", "UTF-8"});
  expect(write("a.jsonl", "{\"text\": \"Hello.\"}\n{\"txt\": \"x\"}\n"),
         {"a.jsonl:2", "text", "txt"});
  expect(write("b.jsonl", "{\"text\": \n"), {"b.jsonl:1"});
  expect(write("a.npy", "not an array"), {"a.npy", "NumPy"});
  expect_quantize_refused({"--recipe", "w4a16-gptq"}, {"gptq", "--calibration FILE"});
  expect_quantize_refused({"--recipe", "w4a16", "--calibration", path("absent.txt")},
                          {"absent.txt", "No such file"});
}

TEST_F(Faults, TextThatCannotBeEvaluatedIsNamed) {
  const auto expect = [&](const std::vector<std::string>& options,
                          const std::vector<std::string>& words) {
    std::vector<std::string> arguments = {"evaluate", "perplexity", kTinyLm, "--quiet", "--text"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    expect_refused(arguments, words);
  };
  expect({path("absent.txt")}, {"absent.txt", "No such file"});
  expect({model()}, {"model", "regular file"});
  expect({write("empty.txt", "")}, {"empty.txt", "empty"});
  expect({write("short.txt", "Hello.")}, {"512", "longer text"});
  expect({write("bad.txt", "caf\xe9")}, {"bad.txt", "byte 3", "UTF-8"});
  expect({kEvaluationText, "--context", "513"}, {"--context 513", "512 positions"});
  expect({kEvaluationText, "--context", "64", "--convention", "stride", "--stride", "64"},
         {"stride", "1 to", "63"});
  expect({kEvaluationText, "--against", path("absent")}, {"absent", "no such path"});
}

TEST_F(Faults, PlaceThatCannotBeWrittenIsNamedBeforeAnyWork) {
  const auto expect = [&](const std::string& place, const std::vector<std::string>& words) {
    expect_refused({"quantize", model(), "--recipe", "w4a16", "--out", place, "--quiet"}, words);
    expect_refused(
        {"quantize", model(), "--recipe", "w4a16", "--out", place, "--quiet", "--overwrite"},
        words);
  };
  expect(model(), {"outside of the model"});
  expect(model() + "/", {"outside of the model"});
  expect(model() + "/inside/of/it", {"outside of the model"});
  expect(directory_.path().string(), {"outside of the model"});
  expect("", {"--out", "got nothing"});
  expect(write("file", "mine"), {"file", "never overwritten"});
  expect(path("file/below"), {"file/below", "may write to"});
  std::filesystem::create_directory(path("mine"));
  write("mine/letter.txt", "dear");
  expect(path("mine"), {"mine", "never overwritten"});
  if (::geteuid() != 0) {
    std::filesystem::create_directory(path("locked"));
    ::chmod(path("locked").c_str(), 0500);
    expect(path("locked/out"), {"locked/out", "Permission denied"});
  }
}

TEST_F(Faults, MissingOrMistakenModelIsNamed) {
  expect_refused({"quantize", path("absent"), "--recipe", "w4a16", "--out", out()},
                 {"absent", "no such path"});
  expect_refused({"quantize", path("model/config.json"), "--recipe", "w4a16", "--out", out()},
                 {"config.json", "a file"});
  expect_refused({"evaluate", "perplexity", path("absent"), "--text", kEvaluationText},
                 {"absent", "no such path"});
  expect_refused({"export", path("absent"), "--format", "gguf", "--out", path("a.gguf")},
                 {"absent"});
  expect_refused({"compare", path("absent"), "--recipes", "w8a16", "--text", kEvaluationText},
                 {"absent"});
}

TEST_F(Faults, RecipeFaultsHaveLineColumnAndTheNearestWord) {
  struct Row {
    std::string yaml;
    std::vector<std::string> words;
  };
  const std::string weight = "rules:\n  - weight: {bits: 4}\n    ";
  for (const Row& row : {
           Row{"rules:\n  - weight: {bits: 4, gruop_size: 8}\n", {":2:23:", "\"group_size\"?"}},
           Row{"rules:\n  - weight: {bits: 14}\n", {":2:13:", "bits", "2 to 8", "14"}},
           Row{"rules:\n  - weight: {bits: four}\n", {":2:14:", "whole number", "\"four\""}},
           Row{"rules:\n  - weight: {granularity: chanel}\n", {":2:14:", "\"channel\"?"}},
           Row{weight + "solver: gtpq\n", {":3:13:", "\"gptq\"?"}},
           Row{weight + "solver: gptq\n    solver_options: {dampng: 1}\n",
               {":4:22:", "\"damping\"?"}},
           Row{weight + "solver: gptq\n    solver_options: {damping: -1}\n",
               {":4:", "damping", "-1"}},
           Row{weight + "layers: \"*.qproj\"\n", {":3:13:", "no linear layer", "*.q_proj"}},
           Row{weight + "layers: model.layers.0.self_attn.q_prj\n",
               {":3:13:", "\"model.layers.0.self_attn.q_proj\"?"}},
           Row{"rules:\n  - weight: {bits: 4\n", {":3:1:", "not YAML"}},
           Row{"rulez: []\n", {":1:1:", "\"rules\"?"}},
           Row{"", {"empty"}},
       }) {
    SCOPED_TRACE(row.yaml);
    auto words = row.words;
    words.emplace_back("mine.yaml");
    expect_quantize_refused({"--recipe", write("mine.yaml", row.yaml)}, words);
  }
  expect_quantize_refused({"--recipe", path("absent.yaml")}, {"absent.yaml", "No such file"});
  expect_quantize_refused({"--recipe", "w4a61"}, {"\"w4a61\"", "\"w4a16\"?"});
}

TEST_F(Faults, SettingFaultsNameTheSetting) {
  struct Row {
    std::string setting;
    std::vector<std::string> words;
  };
  for (const Row& row : {
           Row{"weight", {"key=value"}},
           Row{"=3", {"key=value"}},
           Row{"weight.bits=", {"whole number"}},
           Row{"weight.bits=3x", {"\"3x\""}},
           Row{"weigth.bits=3", {"\"weight\"?"}},
           Row{"weight.bit=3", {"\"bits\"?"}},
           Row{"rules.5.weight.bits=3", {"list of 1", "\"5\""}},
           Row{"calibration.windows=0", {"windows", "from 1", "\"0\""}},
           Row{"weight.bits=[1", {"not YAML"}},
           Row{"weight.bits.x=3", {"no \"x\" inside"}},
           Row{"weight.group_size=100", {"group_size"}},
       }) {
    SCOPED_TRACE(row.setting);
    auto words = row.words;
    words.push_back("--set " + row.setting);
    expect_quantize_refused({"--recipe", "w4a16-g128", "--set", row.setting}, words);
  }
}

TEST_F(Faults, ExportThatCannotHoldTheModelIsRefusedBeforeTheWork) {
  expect_quantize_refused({"--recipe", "w4a16-g128", "--export", "gguf"},
                          {"gguf", "model.layers.0.self_attn.q_proj"});
  expect_quantize_refused(
      {"--recipe", "w3a16-g64-gptq", "--calibration", kCalibrationText, "--export", "gguf"},
      {"gguf", "model.layers.0.self_attn.q_proj"});
  expect_quantize_refused({"--recipe", "w8a16", "--export", "ggfu"}, {"\"ggfu\"", "\"gguf\"?"});
  write("out.gguf", "mine");
  expect_quantize_refused({"--recipe", "gguf-q4_0", "--export", "gguf"},
                          {"out.gguf", "--overwrite"});
}

TEST_F(Faults, CompareChecksEveryRecipeBeforeAnyWork) {
  const auto expect = [&](const std::string& recipes, const std::vector<std::string>& words) {
    expect_refused({"compare", kTinyLm, "--recipes", recipes, "--text", kEvaluationText, "--out",
                    path("kept"), "--quiet"},
                   words);
  };
  expect("w8a16,w4a16-gptq", {"w4a16-gptq", "--calibration FILE"});
  expect("w8a16,w4a61", {"\"w4a16\"?"});
  expect("w8a16,w8a16", {"two recipes", "w8a16"});
}

TEST_F(Faults, FinishedWorkIsNeverOverwrittenUnasked) {
  const std::vector<std::string> job = {"quantize", model(),    "--recipe", "gguf-q4_0", "--out",
                                        out(),      "--export", "gguf",     "--quiet"};
  ASSERT_EQ(testing::run(job).exit_code, 0);
  const auto before = testing::contents(out());
  expect_refused(job, {"out", "--overwrite"});
  const std::string file = path("out.gguf"), folder = path("folder");
  expect_refused({"export", out(), "--format", "gguf", "--out", file}, {"out.gguf", "--overwrite"});
  expect_refused({"export", out(), "--format", "gguf", "--out", path("absent/a.gguf")},
                 {"absent/a.gguf", "Choose a directory"});
  expect_refused({"export", out(), "--format", "compressed-tensors", "--out", out(), "--overwrite"},
                 {"out", "never overwritten"});
  expect_refused({"quantize", out(), "--recipe", "w4a16", "--out", folder}, {"already quantized"});
  EXPECT_EQ(testing::contents(out()), before);
}

// A limit of the file size stands for the full disk where nothing can be mounted.
TEST_F(Faults, FullDiskIsOneErrorAndLeavesNoHalfFile) {
  const auto limited = [&](const std::vector<std::string>& words) {
    std::string command = "ulimit -f 500; exec " + testing::program().string();
    for (const std::string& word : words) command += " '" + word + "'";
    return testing::run_program({"/bin/bash", "-c", command});
  };
  const auto before = listing(directory_.path());
  const auto result =
      limited({"quantize", kTinyLm, "--recipe", "w8a16", "--out", out(), "--quiet"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.errors, ::testing::HasSubstr("writing failed"));
  EXPECT_EQ(listing(directory_.path()), before);
  ASSERT_EQ(testing::run({"quantize", kTinyLm, "--recipe", "gguf-q4_0", "--out", out()}).exit_code,
            0);
  const auto finished = listing(directory_.path());
  for (const std::string format : {"gguf-f16", "compressed-tensors"}) {
    SCOPED_TRACE(format);
    const auto exported = limited({"export", out(), "--format", format, "--out", path("export")});
    EXPECT_EQ(exported.exit_code, 1) << exported.errors;
    EXPECT_THAT(exported.errors, ::testing::HasSubstr("export"));
    EXPECT_EQ(listing(directory_.path()), finished);
  }
}

TEST_F(Faults, OutputThatCannotBePrintedIsAnError) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  for (const std::string arguments : {"--version", "recipes", "recipes --json"}) {
    SCOPED_TRACE(arguments);
    const auto result = testing::run_program(
        {"/bin/bash", "-c", testing::program().string() + " " + arguments + " > /dev/full"});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.errors, ::testing::HasSubstr("standard output"));
  }
}

}  // namespace
}  // namespace laconic
