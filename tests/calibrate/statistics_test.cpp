#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

#include "laconic/base/atomic_file.h"
#include "laconic/calibrate/gather.h"
#include "laconic/calibrate/statistics_store.h"
#include "laconic/file/json/json.h"
#include "laconic/solve/solve.h"
#include "tests/calibrate/small_model.h"

namespace laconic {
namespace {

namespace fs = std::filesystem;
using laconic::testing::expect_error;
using laconic::testing::some_windows;
using laconic::testing::TemporaryDirectory;
using laconic::testing::tiny;

/// Statistics of the small model in `directory`.
MemoryReport gather_into(const fs::path& directory, const EngineOptions& options = {},
                         const at::Tensor& windows = some_windows()) {
  fs::create_directories(directory);
  StatisticsWriter writer(directory);
  const auto memory = gather_statistics(
      tiny(), windows, options, directory,
      [&](StoredInput input, const FeatureStatistics& found) { writer.add(input, found); });
  CalibrationData data;
  data.offsets = {0, 24, 48, 72, 96};
  data.tokens = 1000;
  writer.finish({.model = "m", .text = "t", .asked = {}, .length = 24, .data = data});
  return memory;
}

const fs::path& gathered() {
  static const TemporaryDirectory directory;
  static const fs::path path = [] {
    gather_into(directory / "statistics");
    return directory / "statistics";
  }();
  return path;
}

QuantSpec static_bytes(const Statistic& statistic, const Granularity& granularity = PerTensor{}) {
  QuantSpec spec;
  spec.format = IntFormat{.bit_width = 8, .is_signed = false};
  spec.granularity = granularity;
  spec.scale = StaticScale{{.statistic = statistic}};
  spec.zero_point = IntegerZeroPoint{};
  return spec;
}

std::vector<LayerPlan> some_plans(const std::optional<QuantSpec>& input = {}) {
  QuantSpec weight;
  weight.format = IntFormat{.bit_width = 4};
  weight.granularity = PerChannel{.axis = 0};
  std::vector<LayerPlan> plans;
  for (const graph::LinearLayer& layer : tiny().layers)
    if (layer.name.ends_with("v_proj") || layer.name.ends_with("down_proj"))
      plans.push_back({layer, weight, input, /*needs_hessian=*/true});
  return plans;
}

/// What the engine tells a solver of each layer.
std::map<std::string, LayerStatistics> told(const std::vector<LayerPlan>& plans,
                                            const at::Tensor& windows,
                                            const StatisticsStore* store) {
  const TemporaryDirectory directory;
  std::map<std::string, LayerStatistics> found;
  NativeWriter writer(directory / "out", engine_shard_count(tiny()));
  EngineOptions options;
  options.quantized_inputs = false;
  options.statistics = store;
  run_engine(
      tiny(), plans, windows,
      [&](const LayerPlan& plan, const at::Tensor& weight, const LayerStatistics& statistics) {
        found[plan.layer.name] = statistics;
        const auto parameters = find_parameters(plan.weight, weight);
        return SolvedLayer{quantize_codes(plan.weight, weight, parameters), parameters, {}};
      },
      writer, options);
  return found;
}

TEST(StatisticsStore, TellsSolversWhatARunOfTheFloatNetworkTellsThemBitForBit) {
  const StatisticsStore store(gathered());
  for (const Granularity& granularity : {Granularity(PerTensor{}), Granularity(PerChannel{-1})}) {
    const auto plans = some_plans(static_bytes(MinMax{}, granularity));
    const auto run = told(plans, some_windows(), nullptr), stored = told(plans, {}, &store);
    ASSERT_EQ(run.size(), 12u);
    for (const auto& [name, statistics] : run) {
      const LayerStatistics& other = stored.at(name);
      EXPECT_TRUE(other.hessian.equal(statistics.hessian)) << name;
      EXPECT_TRUE(other.mean_square.equal(statistics.mean_square)) << name;
      EXPECT_EQ(other.rows, statistics.rows);
      EXPECT_EQ(other.notes, statistics.notes);
      EXPECT_TRUE(other.input->scale.equal(statistics.input->scale)) << name;
      EXPECT_EQ(other.input->scale.sizes(), statistics.input->scale.sizes());
    }
  }
}

TEST(StatisticsStore, HoldsEveryLinearLayerAndWhatItsFeaturesAre) {
  const StatisticsStore store(gathered());
  for (const graph::LinearLayer& layer : tiny().layers) {
    const FeatureStatistics found = store.features(layer.name);
    EXPECT_EQ(found.rows, 5 * 24);
    EXPECT_TRUE((found.minimum <= found.mean).all().item<bool>());
    EXPECT_TRUE((found.mean <= found.maximum).all().item<bool>());
    EXPECT_TRUE((found.mean.abs() <= found.magnitude * 1.0001).all().item<bool>());
    const double trace = found.hessian.diagonal().sum(at::kDouble).item<double>();
    EXPECT_DOUBLE_EQ(store.find(layer.name)->energy, trace);
  }
  EXPECT_EQ(store.find("lm"), nullptr);
  expect_error<c10::ValueError>([&] { store.features("lm"); }, {"[statistics]", "layer lm"});
}

TEST(FeatureMoments, AreThoseOfAllRowsAtOnceHoweverTheyCome) {
  at::manual_seed(1);
  const at::Tensor x = at::randn({1500, 6});
  const auto found_in = [&](int64_t batch) {
    FeatureMoments moments(FeatureMoments::Products::kHessian);
    for (const at::Tensor& part : x.split(batch)) moments.add(part);
    return moments.finish("x");
  };
  const FeatureStatistics whole = found_in(1500), parts = found_in(7);
  EXPECT_TRUE(whole.hessian.equal(parts.hessian));
  EXPECT_TRUE(whole.magnitude.equal(parts.magnitude));
  EXPECT_TRUE(whole.minimum.equal(x.amin(0)));
  EXPECT_TRUE(whole.maximum.equal(x.amax(0)));
  EXPECT_TRUE(at::allclose(whole.mean, x.mean(0), 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(whole.hessian, x.t().matmul(x) / 1500, 1e-4, 1e-5));
  FeatureMoments nothing(FeatureMoments::Products::kHessian);
  nothing.add(at::empty({0, 6}));
  EXPECT_EQ(nothing.finish("x").rows, 0);
  FeatureMoments spoilt(FeatureMoments::Products::kNone);
  spoilt.add(at::full({2, 6}, NAN));
  expect_error<c10::ValueError>([&] { spoilt.finish("[engine] layer q"); },
                                {"[engine] layer q", "NaN"});
}

TEST(Gathering, UnderALimitOfMemoryGivesTheSameBytes) {
  const TemporaryDirectory directory;
  const at::Tensor windows = some_windows(48, 128);
  gather_into(directory / "free", {}, windows);
  // Refused with the least number that would do.
  uint64_t least = 0;
  try {
    gather_into(directory / "none", {.host_memory = 1}, windows);
  } catch (const c10::ValueError& error) {
    const std::string text = error.what();
    const size_t end = text.find(" bytes; ");
    least = std::stoull(text.substr(text.rfind('(', end) + 1));
  }
  ASSERT_GT(least, 0u);
  const auto memory = gather_into(directory / "tight", {.host_memory = least + (4 << 20)}, windows);
  EXPECT_EQ(memory.carried, KeptIn::kDisk);
  EXPECT_GT(memory.spilled_bytes, 0u);
  for (const auto& entry : fs::directory_iterator(directory / "free"))
    EXPECT_EQ(read_text_file(entry.path()),
              read_text_file(directory / "tight" / entry.path().filename().string()));
}

TEST(StatisticsStore, RefusesPlansThatNeedMoreWithTheLayerAndTheReason) {
  const StatisticsStore store(gathered());
  const auto refused = [&](const std::function<void(LayerPlan&)>& change,
                           const std::vector<std::string>& words) {
    auto plans = some_plans();
    change(plans[3]);
    auto all = words;
    all.push_back(plans[3].layer.name);
    all.emplace_back("--calibration");
    expect_error<c10::ValueError>([&] { store.check_serves(tiny(), plans); }, all);
  };
  refused([](LayerPlan& plan) { plan.needs_mismatch = true; }, {"float network alone"});
  refused([](LayerPlan& plan) { plan.is_joint = true; }, {"whole block"});
  refused([](LayerPlan& plan) { plan.input = static_bytes(Percentile{}); }, {"static scale"});
  store.check_serves(tiny(), some_plans());
  LanguageModel changed = tiny();
  changed.changed.insert("model.norm.weight");
  expect_error<c10::ValueError>([&] { store.check_serves(changed, some_plans()); },
                                {"transforms", "v_proj"});
}

TEST(StatisticsStore, RefusesDamagedFilesAndSaysWhich) {
  const TemporaryDirectory directory;
  const fs::path copy = directory / "copy";
  const auto manifest = read_json_file(gathered() / "statistics.json");
  const auto refused = [&](const std::function<void(nlohmann::json&)>& damage,
                           const std::vector<std::string>& words) {
    fs::remove_all(copy);
    fs::copy(gathered(), copy);
    auto json = manifest;
    damage(json);
    write_json_file(copy / "statistics.json", json);
    auto all = words;
    all.emplace_back("[statistics]");
    expect_error<c10::ValueError>(
        [&] { StatisticsStore(copy).features("model.layers.0.self_attn.q_proj"); }, all);
  };
  refused([](auto& json) { json["format_version"] = 2; }, {"format_version 2"});
  refused([](auto& json) { json["inputs"] = 3; }, {"inputs", "list"});
  refused([](auto& json) { json["inputs"][1]["rows"] = -4; }, {"inputs.1", "rows", "-4"});
  refused([](auto& json) { json["inputs"][1] = json["inputs"][0]; }, {"twice"});
  refused([](auto& json) { json["inputs"][0]["features"] = 5; }, {"input-00000", "shape"});
  refused([](auto& json) { json["inputs"][0]["layers"] = {7}; }, {"inputs.0", "layers"});
  refused([](auto& json) { json["data"]["offsets"] = {"a"}; }, {"offsets"});
  refused([](auto& json) { json.erase("model"); }, {"model"});
  refused([](auto& json) { json = nlohmann::json::array(); }, {"format_version"});
  const auto with_first_file = [&](const std::string& bytes) {
    refused([&](auto&) { write_text_file(copy / "input-00000.safetensors", bytes); }, {});
  };
  std::string bytes = read_text_file(gathered() / "input-00000.safetensors");
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] + 1);
  with_first_file(bytes);
  expect_error<c10::ValueError>([&] { StatisticsStore store(directory / "absent"); },
                                {"[statistics]", "absent", "no such path"});
  // Cut short: the format's own reader says where.
  write_json_file(copy / "statistics.json", manifest);
  write_text_file(copy / "input-00000.safetensors", bytes.substr(0, 100));
  expect_error<c10::ValueError>(
      [&] { StatisticsStore(copy).features("model.layers.0.self_attn.q_proj"); },
      {"input-00000.safetensors"});
}

}  // namespace
}  // namespace laconic
