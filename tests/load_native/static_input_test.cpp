// The parameters of static inputs in a native directory.
#include <limits>

#include "laconic/file/json/json.h"
#include "laconic/load/native/native.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::TemporaryDirectory;
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

const QuantSpec kWeight = QuantSpec{}.let(PerChannel{.axis = 0});
const QuantSpec kInput =
    QuantSpec{}.let(IntFormat{.bit_width = 8, .is_signed = false},
                    Scale(StaticScale{{.statistic = MinMax{}}}), IntegerZeroPoint{});

NativeLayer layer_with(const QuantSpec& input) {
  return {
      .name = "a", .weight_name = "a.weight", .weight = kWeight, .input = input, .shape = {4, 6}};
}

NamedTensors tensors_of(const NativeLayer& layer, const std::optional<QuantParameters>& input) {
  const auto weight = at::randn({4, 6});
  const auto parameters = find_parameters(kWeight, weight);
  return native_tensors(layer, quantize_codes(kWeight, weight, parameters), parameters, input);
}

void write(const std::filesystem::path& out, const NativeLayer& layer,
           const NamedTensors& tensors) {
  NativeWriter writer(out, 1);
  writer.write_shard(0, tensors);
  writer.finish({{"architecture", "LlamaForCausalLM"}, {"layers", {to_json(layer)}}}, {});
}

TEST(StaticInput, ParametersComeBackBitForBit) {
  const TemporaryDirectory directory;
  for (const Granularity& granularity : {Granularity(PerTensor{}), Granularity(PerChannel{-1})}) {
    const NativeLayer layer = layer_with(kInput.let(granularity));
    const auto found = find_parameters(*layer.input, at::randn({2, 3, 6}));
    const auto out = directory / part_name(granularity);
    write(out, layer, tensors_of(layer, found));
    const auto native = NativeDirectory::open(out);
    const auto read = native->input_parameters(native->layers().at(0));
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(native->layers().at(0).input, layer.input);
    EXPECT_TRUE(at::equal(read->scale, found.scale));
    EXPECT_TRUE(at::equal(read->zero_point, found.zero_point));
  }
}

TEST(StaticInput, DynamicInputsHaveNoParameters) {
  const TemporaryDirectory directory;
  const NativeLayer layer = layer_with(QuantSpec{}.let(PerToken{}));
  write(directory / "out", layer, tensors_of(layer, std::nullopt));
  const auto native = NativeDirectory::open(directory / "out");
  EXPECT_FALSE(native->input_parameters(native->layers().at(0)).has_value());
  const QuantParameters one{at::ones({}), {}};
  expect_error<c10::ValueError>([&] { tensors_of(layer, one); }, {"layer a", "no parameters"});
}

TEST(StaticInput, ParametersThatAreAbsentOrDamagedAreRefused) {
  const TemporaryDirectory directory;
  const NativeLayer layer = layer_with(kInput);
  expect_error<c10::ValueError>([&] { tensors_of(layer, std::nullopt); },
                                {"layer a", "static input, got none"});
  const QuantParameters good{at::ones({}), at::zeros({})};
  auto tensors = tensors_of(layer, good);
  std::erase_if(tensors, [](const auto& tensor) { return tensor.first == "a.input_scale"; });
  expect_error<c10::ValueError>([&] { write(directory / "absent", layer, tensors); },
                                {"a.input_scale", "got none"});
  tensors.emplace_back("a.input_scale", at::ones({6}));
  expect_error<c10::ValueError>([&] { write(directory / "shape", layer, tensors); },
                                {"a.input_scale", "[6]"});
  tensors.back().second = at::full({}, -1.0);
  write(directory / "negative", layer, tensors);
  const auto native = NativeDirectory::open(directory / "negative");
  expect_error<c10::ValueError>([&] { native->input_parameters(native->layers().at(0)); },
                                {"layer a", "input", "above zero"});
}

}  // namespace
}  // namespace laconic
