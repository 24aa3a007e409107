#include "laconic/load/native/native.h"

#include <limits>

#include "laconic/base/atomic_file.h"
#include "laconic/file/json/json.h"
#include "laconic/load/native/native_parameters.h"
#include "laconic/load/native/stored.h"
#include "laconic/quant/presets/presets.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::TemporaryDirectory;
using nlohmann::json;

struct Solved {
  NativeLayer layer;
  at::Tensor codes;
  QuantParameters parameters;
};

Solved solved(const std::string& name, const QuantSpec& spec, std::vector<int64_t> shape) {
  Solved s;
  s.layer = {.name = name, .weight_name = name + ".weight", .weight = spec, .shape = shape};
  const auto [q_min, q_max] = code_range(spec.format);
  s.codes = at::randint(q_min, q_max + 1, shape).to(is_signed(spec) ? at::kChar : at::kByte);
  const auto sizes = scale_shape(shape, spec.granularity);
  s.parameters.scale = at::rand(sizes) + 0.01;
  if (std::holds_alternative<IntegerZeroPoint>(spec.zero_point)) {
    s.parameters.zero_point = at::randint(q_min, q_max + 1, sizes).to(at::kFloat);
  }
  if (std::holds_alternative<FloatZeroPoint>(spec.zero_point))
    s.parameters.zero_point = at::randn(sizes);
  return s;
}

json manifest(const std::vector<Solved>& all) {
  json layers = json::array();
  for (const Solved& s : all) layers.push_back(to_json(s.layer));
  return {{"architecture", "LlamaForCausalLM"}, {"layers", layers}, {"recipe", {{"name", "test"}}}};
}

void write(const std::filesystem::path& directory, const std::vector<Solved>& all) {
  NativeWriter writer(directory, 1);
  std::vector<std::pair<std::string, at::Tensor>> tensors = {
      {"norm.weight", at::ones({4}, at::kBFloat16)}};
  for (const Solved& s : all) {
    for (auto& tensor : native_tensors(s.layer, s.codes, s.parameters)) tensors.push_back(tensor);
  }
  writer.write_shard(0, tensors);
  writer.finish(manifest(all), {});
}

std::vector<Solved> every_kind() {
  const std::vector<Granularity> granularities = {
      PerTensor{},
      PerChannel{.axis = 0},
      PerChannel{.axis = 1},
      PerGroup{.axis = 1, .group_size = 8},
      PerGroup{.axis = -1, .group_size = 9, .pad = true},
      PerGroup{.axis = 0, .group_size = 3}};
  const std::vector<ZeroPoint> zero_points = {NoZeroPoint{}, IntegerZeroPoint{}, FloatZeroPoint{}};
  std::vector<Solved> all;
  for (int64_t bits = 2; bits <= 8; ++bits) {
    for (size_t i = 0; i < 2 * granularities.size() * zero_points.size(); ++i) {
      QuantSpec spec;
      spec.format =
          IntFormat{.bit_width = bits, .is_signed = i % 2 == 0, .narrow_range = bits == 5};
      spec.granularity = granularities[i / 2 % granularities.size()];
      spec.zero_point = zero_points[i / 2 / granularities.size()];
      spec.scale = StatisticScale{{.statistic = Mse{}, .restriction = StoredAs{}}};
      all.push_back(solved("l" + std::to_string(all.size()), spec, {6, 40}));
    }
  }
  return all;
}

TEST(NativeDirectory, EveryKindComesBackBitForBit) {
  const TemporaryDirectory directory;
  const auto all = every_kind();
  write(directory / "out", all);
  const auto native = NativeDirectory::open(directory / "out");
  ASSERT_EQ(native->layers().size(), all.size());
  EXPECT_TRUE(at::equal(native->tensors().tensor("norm.weight"), at::ones({4}, at::kBFloat16)));
  EXPECT_EQ(native->find("absent"), nullptr);
  for (const Solved& s : all) {
    SCOPED_TRACE(to_json(s.layer).dump());
    const NativeLayer* layer = native->find(s.layer.name);
    ASSERT_NE(layer, nullptr);
    EXPECT_TRUE(layer->weight == s.layer.weight);
    const auto codes = native->codes(*layer);
    EXPECT_EQ(codes.scalar_type(), s.codes.scalar_type());
    EXPECT_TRUE(at::equal(codes, s.codes));
    const auto parameters = native->parameters(*layer);
    EXPECT_TRUE(at::equal(parameters.scale, s.parameters.scale));
    ASSERT_EQ(parameters.zero_point.defined(), s.parameters.zero_point.defined());
    if (parameters.zero_point.defined()) {
      EXPECT_TRUE(at::equal(parameters.zero_point, s.parameters.zero_point));
    }
  }
}

TEST(NativeDirectory, FormatsThatNeedMoreThanAScaleComeBackBitForBit) {
  at::manual_seed(7);
  const TemporaryDirectory directory;
  std::vector<Solved> all;
  std::vector<at::Tensor> values;
  for (const Granularity& granularity :
       {Granularity(PerTensor{}), Granularity(PerChannel{.axis = 1}),
        Granularity(PerGroup{.axis = -1, .group_size = 9, .pad = true})}) {
    for (const Format& format :
         {Format(bitmod_tables(3)), Format(bitmod_tables(4)),
          Format(ChoiceFormat{{{-1, 1}, {-1, 0.5}, {-3, 1}}}), Format(PlaneSumFormat{}),
          Format(PlaneSumFormat{3, Plane::kTernary, 1}), Format(BinaryFormat{})}) {
      const auto spec = QuantSpec{}.let(format, granularity, Restriction(StoredAs{}));
      Solved s = solved("l" + std::to_string(all.size()), spec, {6, 40});
      const auto weight = at::randn({6, 40});
      s.parameters = find_parameters(spec, weight);
      s.codes = quantize_codes(spec, weight, s.parameters);
      values.push_back(fake_quantize_dynamic(spec, weight));
      all.push_back(s);
    }
  }
  Solved pairs = solved("pairs", quant_spec_preset("complex-signs-g128"), {6, 256});
  const auto weight = at::randn({6, 256});
  pairs.parameters = find_parameters(pairs.layer.weight, weight);
  pairs.codes = quantize_codes(pairs.layer.weight, weight, pairs.parameters);
  values.push_back(fake_quantize_dynamic(pairs.layer.weight, weight));
  all.push_back(pairs);
  write(directory / "out", all);
  const auto native = NativeDirectory::open(directory / "out");
  for (size_t i = 0; i < all.size(); ++i) {
    SCOPED_TRACE(to_json(all[i].layer).dump());
    const NativeLayer& layer = *native->find(all[i].layer.name);
    EXPECT_TRUE(layer.weight == all[i].layer.weight);
    EXPECT_TRUE(at::equal(native->codes(layer), all[i].codes));
    EXPECT_TRUE(at::equal(native->dequantized(layer), values[i]));
  }
}

TEST(NativeDirectory, WhatCodesNeedBesideTheScaleIsChecked) {
  const auto refuse = [](const Format& format, const auto& damage,
                         const std::vector<std::string>& words) {
    const auto spec = QuantSpec{}.let(format, PerChannel{.axis = 0});
    Solved s = solved("a", spec, {4, 16});
    s.parameters = find_parameters(spec, at::randn({4, 16}));
    damage(s.parameters);
    expect_error<c10::ValueError>([&] { native_tensors(s.layer, s.codes, s.parameters); }, words);
  };
  const auto forget = [](QuantParameters& p) { p.choice = p.plane_scales = at::Tensor(); };
  refuse(bitmod_tables(3), forget, {"layer a", "choice", "got none"});
  refuse(bitmod_tables(3), [](QuantParameters& p) { p.choice.fill_(4); }, {"layer a", "0 to 3"});
  refuse(PlaneSumFormat{}, forget, {"layer a", "plane scales", "got none"});
  refuse(PlaneSumFormat{}, [](QuantParameters& p) { p.plane_scales.fill_(-1); },
         {"layer a", "plane scales", "above zero"});
  refuse(nf4(), [](QuantParameters& p) { p.choice = p.scale; }, {"layer a", "choice", "got some"});
  refuse(nf4(), [](QuantParameters& p) { p.plane_scales = p.scale; }, {"plane scales", "got some"});
}

TEST(NativeDirectory, DequantizesByTheFormula) {
  const TemporaryDirectory directory;
  const auto all = every_kind();
  write(directory / "out", all);
  const auto native = NativeDirectory::open(directory / "out");
  for (const Solved& s : all) {
    const auto one_each = [&](const at::Tensor& t) {
      return spread(t, s.layer.shape, s.layer.weight.granularity);
    };
    auto expected = s.codes.to(at::kFloat);
    if (s.parameters.zero_point.defined()) expected = expected - one_each(s.parameters.zero_point);
    expected = expected * one_each(s.parameters.scale);
    EXPECT_TRUE(at::equal(native->dequantized(*native->find(s.layer.name)), expected))
        << to_json(s.layer).dump();
  }
}

TEST(NativeDirectory, RowsAreThoseOfTheWholeWeight) {
  const TemporaryDirectory directory;
  const auto all = every_kind();
  write(directory / "out", all);
  const auto native = NativeDirectory::open(directory / "out");
  const auto indices = at::tensor({5, 0, 5, 2}, at::kLong);
  for (const Solved& s : all) {
    const NativeLayer& layer = *native->find(s.layer.name);
    const auto expected = at::index_select(native->dequantized(layer), 0, indices);
    EXPECT_TRUE(at::equal(native->dequantized_rows(layer, indices), expected))
        << to_json(s.layer).dump();
    EXPECT_EQ(native->dequantized_rows(layer, indices.narrow(0, 0, 0)).size(0), 0);
  }
}

TEST(NativeLayer, AnEmbeddingSaysSo) {
  Solved table = solved("e", {}, {6, 40});
  EXPECT_FALSE(to_json(table.layer).contains("embedding"));
  table.layer.is_embedding = true;
  json written = json::parse(to_json(table.layer).dump());  // numbers as files have them
  EXPECT_TRUE(native_layer_from_json(written, "here").is_embedding);
  written["transposed"] = true;
  expect_error<c10::ValueError>([&] { native_layer_from_json(written, "here"); },
                                {"here \"e\"", "an embedding to be neither transposed"});
  written["embedding"] = 1;
  expect_error<c10::ValueError>([&] { native_layer_from_json(written, "here"); },
                                {"here \"e\"", "embedding: expected true or false, got 1"});
}

TEST(Spread, GivesEachWeightTheScaleOfItsGroup) {
  const QuantSpec rows{.granularity = PerGroup{.axis = 1, .group_size = 9, .pad = true}};
  const auto scale = at::rand(scale_shape({6, 40}, rows.granularity));
  EXPECT_EQ(spread(scale, {6, 40}, rows.granularity)[4][25].item<float>(),
            scale[4][2][0].item<float>());
  const QuantSpec columns{.granularity = PerGroup{.axis = 0, .group_size = 3}};
  const auto other = at::rand(scale_shape({6, 40}, columns.granularity));
  EXPECT_EQ(spread(other, {6, 40}, columns.granularity)[4][25].item<float>(),
            other[1][0][25].item<float>());
}

class Damaged : public ::testing::Test {
 protected:
  Damaged() {
    const QuantSpec spec{.format = IntFormat{.bit_width = 4},
                         .granularity = PerGroup{.axis = 1, .group_size = 8}};
    all_ = {solved("a", spec, {4, 16})};
    write(directory_ / "out", all_);
    manifest_ = read_json_file(directory_ / "out" / "laconic.json");
  }
  void refuse(const json& changed, const std::vector<std::string>& words) {
    SCOPED_TRACE(changed.dump());
    write_json_file(directory_ / "out" / "laconic.json", changed);
    expect_error<c10::ValueError>([&] { NativeDirectory::open(directory_ / "out"); }, words);
  }
  // Changes one place of the manifest, named as a JSON pointer.
  void refuse_change(const std::string& place, const json& value, std::vector<std::string> words) {
    json changed = manifest_;
    changed[json::json_pointer(place)] = value;
    words.push_back("laconic.json");
    refuse(changed, words);
  }
  void rewrite(const std::vector<std::pair<std::string, at::Tensor>>& tensors) {
    write_safetensors(directory_ / "out" / "model.safetensors", tensors);
  }
  TemporaryDirectory directory_;
  std::vector<Solved> all_;
  json manifest_;
};

TEST_F(Damaged, TheFieldIsNamed) {
  refuse(json::array(), {"expected an object"});
  refuse_change("/format_version", 2, {"format_version", "got 2", "update Laconic"});
  refuse_change("/format_version", 0, {"format_version", "at least 1"});
  refuse_change("/format_version", "1", {"format_version", "whole number"});
  refuse_change("/architecture", 1, {"architecture"});
  refuse_change("/layers", 1, {"layers", "list"});
  refuse_change("/layers/0", 1, {"layers[0]", "object"});
  refuse_change("/layers/0/name", "", {"layers[0]", "name"});
  refuse_change("/layers/0/shape", {4, -16}, {"\"a\"", "shape", "-16"});
  refuse_change("/layers/0/shape", {4}, {"\"a\"", "[out, in]"});
  refuse_change("/layers/0/shape", 4, {"\"a\"", "[out, in]"});
  refuse_change("/layers/0/transposed", 1, {"\"a\"", "transposed"});
  refuse_change("/layers/0/extra", 1, {"\"a\"", "unknown"});
  refuse_change("/layers/0/weight", 1, {"\"a\"", "weight", "object"});
  refuse_change("/layers/0/weight/format", "intt", {"\"a\": weight", "intt"});
  refuse_change("/layers/0/weight/bits", 12, {"layer a", "2 to 8", "12"});
  refuse_change("/layers/0/weight/axis", 5, {"layer a", "axis 5"});
  refuse_change("/layers/0/weight/group_size", 7, {"layer a", "group_size 7"});
}

TEST_F(Damaged, TensorsThatDoNotFitTheirSpecAreNamed) {
  refuse_change("/layers/0/shape", {4, 24}, {"layer a", "a.weight_codes", "[4, 12]", "[4, 8]"});
  refuse_change("/layers/0/weight/bits", 3, {"layer a", "a.weight_codes"});
  refuse_change("/layers/0/weight/group_size", 16,
                {"layer a", "a.weight_scale", "[4, 1, 1]", "[4, 2, 1]"});
  refuse_change("/layers/0/weight/zero_point", "integer",
                {"layers[0]", "absmax", "contradicts", "zero point"});
  json asymmetric = manifest_;
  asymmetric["layers"][0]["weight"]["zero_point"] = "integer";
  asymmetric["layers"][0]["weight"]["statistic"] = "min_max";
  refuse(asymmetric, {"laconic.json", "layer a", "a.weight_zero_point"});
  refuse_change("/layers/0/name", "b", {"layer b", "b.weight_codes"});
  json twice = manifest_;
  twice["layers"].push_back(twice["layers"][0]);
  refuse(twice, {"layer a", "twice"});
}

TEST_F(Damaged, BadNumbersAreFoundWhenTheyAreRead) {
  auto tensors = native_tensors(all_[0].layer, all_[0].codes, all_[0].parameters);
  tensors[1].second = tensors[1].second.clone();
  tensors[1].second[0][0][0] = std::numeric_limits<float>::quiet_NaN();
  rewrite(tensors);
  auto native = NativeDirectory::open(directory_ / "out");
  expect_error<c10::ValueError>([&] { native->parameters(native->layers()[0]); },
                                {"layer a", "scale", "above zero"});
  json narrow = manifest_;
  narrow["layers"][0]["weight"]["narrow_range"] = true;
  write_json_file(directory_ / "out" / "laconic.json", narrow);
  tensors[0].second = at::zeros_like(tensors[0].second);  // -8 each, which a narrow range lacks
  rewrite(tensors);
  native = NativeDirectory::open(directory_ / "out");
  expect_error<c10::ValueError>([&] { native->codes(native->layers()[0]); },
                                {"layer a", "-7 to 7", "-8"});
}

TEST_F(Damaged, AScaleThatCarriesCodesBeyondFloatIsFoundWhenTheWeightIsRead) {
  auto tensors = native_tensors(all_[0].layer, all_[0].codes, all_[0].parameters);
  tensors[1].second = at::full_like(tensors[1].second, 3e38);
  rewrite(tensors);
  const NativeParameters parameters(NativeDirectory::open(directory_ / "out"), /*resident=*/true);
  expect_error<c10::ValueError>([&] { parameters.get("a.weight"); },
                                {"out", "a.weight", "NaN or infinite"});
}

TEST_F(Damaged, AStoredWeightBesideItsCodesIsRefused) {
  auto tensors = native_tensors(all_[0].layer, all_[0].codes, all_[0].parameters);
  tensors.emplace_back("a.weight", at::ones({4, 16}));
  rewrite(tensors);
  refuse(manifest_, {"layer a", "a.weight is stored"});
}

TEST(NativeTensors, RefuseNumbersThatDoNotFitTheSpec) {
  const QuantSpec spec{.format = IntFormat{.bit_width = 4}, .granularity = PerChannel{}};
  const Solved s = solved("a", spec, {4, 16});
  const auto refuse = [&](const at::Tensor& codes, const QuantParameters& parameters,
                          const std::vector<std::string>& words) {
    expect_error<c10::ValueError>([&] { native_tensors(s.layer, codes, parameters); }, words);
  };
  refuse(s.codes + 20, s.parameters, {"layer a", "codes", "-8 to 7"});
  refuse(s.codes.to(at::kInt), s.parameters, {"layer a", "codes"});
  refuse({}, s.parameters, {"layer a", "codes", "nothing"});
  refuse(s.codes, {at::ones({4}), {}}, {"layer a", "scale", "[4, 1]"});
  refuse(s.codes, {at::zeros({4, 1}), {}}, {"layer a", "scale", "above zero"});
  refuse(s.codes, {s.parameters.scale, s.parameters.scale}, {"layer a", "zero point", "none"});
}

TEST(NativeWriter, ContinuesWhereItStopped) {
  const TemporaryDirectory directory;
  const Solved s = solved("a", {.format = IntFormat{.bit_width = 4}}, {4, 16});
  {
    NativeWriter writer(directory / "out", 2);
    writer.write_shard(0, {{"norm", at::ones({3})}});
    write_text_file(writer.working_directory() / "journal.json", "{}");
  }
  EXPECT_FALSE(std::filesystem::exists(directory / "out"));
  NativeWriter writer(directory / "out/", 2);
  EXPECT_TRUE(writer.has_shard(0));
  EXPECT_FALSE(writer.has_shard(1));
  expect_error<c10::Error>([&] { writer.finish(manifest({s}), {}); },
                           {"model-00002-of-00002.safetensors is absent"});
  writer.write_shard(1, native_tensors(s.layer, s.codes, s.parameters));
  write_text_file(directory / "config.json", "{}");
  writer.finish(manifest({s}), {directory / "config.json"});
  EXPECT_FALSE(std::filesystem::exists(directory / "out.partial"));
  EXPECT_FALSE(std::filesystem::exists(directory / "out" / "journal.json"));
  EXPECT_TRUE(std::filesystem::exists(directory / "out" / "config.json"));
  const auto native = NativeDirectory::open(directory / "out");
  EXPECT_TRUE(at::equal(native->tensors().tensor("norm"), at::ones({3})));
  EXPECT_TRUE(at::equal(native->codes(native->layers()[0]), s.codes));
}

TEST(NativeWriter, ReplacesOnlyWhatItWroteAndOnlyWhenAsked) {
  const TemporaryDirectory directory;
  const Solved s = solved("a", {.format = IntFormat{.bit_width = 4}}, {4, 16});
  write(directory / "out", {s});
  expect_error<c10::ValueError>([&] { NativeWriter(directory / "out", 1); },
                                {"out", "--overwrite"});
  const Solved other = solved("b", {.format = IntFormat{.bit_width = 4}}, {4, 16});
  NativeWriter writer(directory / "out", 1, /*overwrite=*/true);
  writer.write_shard(0, native_tensors(other.layer, other.codes, other.parameters));
  EXPECT_NE(NativeDirectory::open(directory / "out")->find("a"),
            nullptr);  // the old one stays until the end
  writer.finish(manifest({other}), {});
  EXPECT_NE(NativeDirectory::open(directory / "out")->find("b"), nullptr);
  EXPECT_FALSE(std::filesystem::exists(directory / "out.partial.old"));
  std::filesystem::create_directory(directory / "mine");
  write_text_file(directory / "mine" / "letter.txt", "dear");
  expect_error<c10::ValueError>([&] { NativeWriter(directory / "mine", 1, true); },
                                {"mine", "never overwritten"});
}

TEST(NativeWriter, AResultThatCannotBeReadIsNotFinished) {
  const TemporaryDirectory directory;
  const Solved s = solved("a", {.format = IntFormat{.bit_width = 4}}, {4, 16});
  NativeWriter writer(directory / "out", 1);
  writer.write_shard(0, {{"norm", at::ones({3})}});
  expect_error<c10::ValueError>([&] { writer.finish(manifest({s}), {}); }, {"a.weight_codes"});
  EXPECT_FALSE(std::filesystem::exists(directory / "out"));
  expect_error<c10::Error>([&] { writer.finish(manifest({}), {directory / "absent.json"}); },
                           {"absent.json"});
}

TEST(NativeDirectory, DequantizesAStoredMinimumAsAFileOfFloat16NumbersDoes) {
  const TemporaryDirectory directory;
  const QuantSpec spec{.format = IntFormat{.bit_width = 4, .is_signed = false},
                       .granularity = PerGroup{.axis = 1, .group_size = 32},
                       .scale = StatisticScale{{.statistic = MinMax{}, .restriction = StoredAs{}}},
                       .zero_point = StoredMinimum{}};
  const auto weight = at::randn({8, 64});
  Solved s = solved("a", spec, {8, 64});
  s.parameters = find_parameters(spec, weight);
  s.codes = quantize_codes(spec, weight, s.parameters);
  write(directory / "out", {s});
  const auto minimum = stored_minimum(spec, s.parameters);
  const auto smallest = weight.view({8, 2, 32}).amin(-1, true);
  EXPECT_TRUE(at::equal(smallest.to(at::kHalf).to(at::kFloat), minimum));
  const auto values = s.codes.to(at::kFloat).view({8, 2, 32}) * s.parameters.scale + minimum;
  const auto native = NativeDirectory::open(directory / "out");
  EXPECT_TRUE(at::equal(native->dequantized(native->layers()[0]), values.view({8, 64})));
}

}  // namespace
}  // namespace laconic
