#include "laconic/load/language_model.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/index_select.h>

#include "laconic/graph/run.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

TEST(LoadLanguageModel, RunsTheSmallModel) {
  const auto model = load_language_model(testing::repository() / "assets/tiny-lm");
  EXPECT_EQ(model.architecture, "LlamaForCausalLM");
  EXPECT_EQ(model.vocabulary_size, 4096);
  EXPECT_EQ(model.maximum_length, 512);
  EXPECT_EQ(model.blocks.size(), 6u);
  EXPECT_EQ(model.layers.size(), 6u * 7 + 1);
  const graph::Runner runner(model.graph);
  const auto logits = runner(at::arange(20).reshape({2, 10}), *model.parameters);
  EXPECT_EQ(logits.sizes(), (std::vector<int64_t>{2, 10, 4096}));
  EXPECT_TRUE(logits.isfinite().all().item<bool>());
}

TEST(LoadLanguageModel, RowsAreThoseOfTheWholeTable) {
  const std::string name = "model.embed_tokens.weight";
  const auto indices = at::arange(5, 90, 7);
  for (const bool resident : {false, true}) {
    const auto model =
        load_language_model(testing::repository() / "assets/tiny-lm", {.resident = resident});
    const auto before = model.parameters->rows(name, indices);
    EXPECT_EQ(before.scalar_type(), at::kFloat);
    EXPECT_TRUE(at::equal(before, model.parameters->get(name).index_select(0, indices)));
    EXPECT_TRUE(at::equal(before, model.parameters->rows(name, indices)));
  }
}

}  // namespace
}  // namespace laconic
