#include "laconic/evaluate/perplexity.h"

#include <cmath>
#include <fstream>

#include "laconic/evaluate/bos.h"
#include "laconic/evaluate/predictor.h"
#include "laconic/evaluate/text.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using testing::expect_error;
using testing::repository;

const LanguageModel& tiny_lm() {
  static const LanguageModel model = load_language_model(repository() / "assets/tiny-lm");
  return model;
}

const std::vector<int64_t>& evaluation_tokens() {
  static const auto tokens = read_tokens(tiny_lm(), repository() / "assets/text/evaluation.txt");
  return tokens;
}

// The published figures have four or five digits; a thousandth is the bound of the comparison.
void expect_near(double value, double published) {
  EXPECT_NEAR(value, published, 0.001 * published);
}

TEST(Perplexity, OfTheSmallModelEqualsThePublishedFigure) {
  const auto result = evaluate_perplexity(tiny_lm(), evaluation_tokens(), {.context = 256});
  EXPECT_EQ(result.tokens, 9656);
  EXPECT_EQ(result.windows, 9656 / 256);
  EXPECT_EQ(result.predictions, result.windows * 255);
  expect_near(result.perplexity, 58.264);
  EXPECT_NEAR(result.perplexity, std::exp(result.loss), 1e-9);
  // 9,435 losses with a spread of about 3 nats.
  EXPECT_GT(result.perplexity_error, 1.0);
  EXPECT_LT(result.perplexity_error, 3.0);
}

TEST(Perplexity, DoesNotDependOnTheBatch) {
  const auto tokens = std::span(evaluation_tokens()).first(1000);
  const auto one = evaluate_perplexity(tiny_lm(), tokens, {.context = 64, .batch = 1});
  const auto many = evaluate_perplexity(tiny_lm(), tokens, {.context = 64, .batch = 7});
  EXPECT_NEAR(one.loss, many.loss, 1e-5);
  EXPECT_EQ(one.predictions, many.predictions);
}

// The plain meaning: the whole network, all logits, softmax in double.
double plain_loss(const std::vector<int64_t>& ids, int64_t first_target) {
  const at::NoGradGuard no_gradient;
  const graph::Runner runner(tiny_lm().graph);
  const at::Tensor input = at::tensor(ids, at::kLong).unsqueeze(0);
  const at::Tensor scores =
      at::log_softmax(runner(input, *tiny_lm().parameters)[0].to(at::kDouble), -1);
  double sum = 0;
  for (auto i = first_target; i < static_cast<int64_t>(ids.size()); ++i)
    sum -= scores[i - 1][ids[i]].item<double>();
  return sum;
}

TEST(Perplexity, EqualsThePlainMeaningForEveryConventionAndBos) {
  const auto tokens = std::span(evaluation_tokens()).first(40);
  const auto part = [&](int64_t begin, int64_t end, bool bos) {
    std::vector<int64_t> ids(tokens.begin() + begin, tokens.begin() + end);
    if (bos) ids.insert(ids.begin(), 0);
    return ids;
  };
  const auto loss = [&](const PerplexityOptions& options) {
    return evaluate_perplexity(tiny_lm(), tokens, options).loss;
  };
  EXPECT_NEAR(loss({.context = 16}),
              (plain_loss(part(0, 16, false), 1) + plain_loss(part(16, 32, false), 1)) / 30, 1e-4);
  EXPECT_NEAR(loss({.context = 20, .bos = BosPolicy::kFirst}),
              (plain_loss(part(0, 19, true), 1) + plain_loss(part(19, 39, false), 1)) / 38, 1e-4);
  EXPECT_NEAR(loss({.context = 21, .bos = BosPolicy::kWindow}),
              (plain_loss(part(0, 20, true), 1) + plain_loss(part(20, 40, true), 1)) / 40, 1e-4);
  // BOS, then the text; the second window's first token gives way to BOS.
  EXPECT_NEAR(loss({.context = 20, .convention = Convention::kLlamaCpp, .bos = BosPolicy::kWindow}),
              (plain_loss(part(0, 19, true), 11) + plain_loss(part(20, 39, true), 11)) / 18, 1e-4);
  EXPECT_NEAR(loss({.context = 24, .convention = Convention::kStride, .stride = 16}),
              (plain_loss(part(0, 24, false), 1) + plain_loss(part(16, 40, false), 8)) / 39, 1e-4);
}

TEST(Perplexity, AgainstItselfTheDivergenceIsZeroAndAllAgrees) {
  const auto result = evaluate_perplexity(tiny_lm(), std::span(evaluation_tokens()).first(600),
                                          {.context = 128}, &tiny_lm());
  EXPECT_NEAR(result.kl_divergence.value(), 0, 1e-6);
  EXPECT_EQ(result.top1_agreement.value(), 1.0);
}

TEST(Perplexity, AgainstAnotherModelEqualsThePlainDivergence) {
  LanguageModel other = tiny_lm();
  const auto name = other.layers.front().weight_name;
  auto changed = std::make_shared<graph::OverlaidParameters>(*tiny_lm().parameters,
                                                             std::map<std::string, at::Tensor>{});
  changed->set(name, tiny_lm().parameters->get(name) * 0.7);
  other.parameters = changed;
  const auto tokens = std::span(evaluation_tokens()).first(32);
  const auto result = evaluate_perplexity(other, tokens, {.context = 32}, &tiny_lm());
  const auto scores = [&](const LanguageModel& model) {
    const at::Tensor ids =
        at::tensor(std::vector<int64_t>(tokens.begin(), tokens.end()), at::kLong).unsqueeze(0);
    return at::log_softmax(
        graph::Runner(model.graph)(ids, *model.parameters)[0].slice(0, 0, 31).to(at::kDouble), -1);
  };
  const at::Tensor p = scores(tiny_lm()), q = scores(other);
  const at::Tensor each = (p.exp() * (p - q)).sum(-1);
  EXPECT_NEAR(*result.kl_divergence, each.mean().item<double>(), 1e-5);
  EXPECT_GT(*result.kl_divergence, 1e-3);
  EXPECT_NEAR(*result.kl_error, each.std().item<double>() / std::sqrt(31.0), 1e-5);
  EXPECT_NEAR(*result.top1_agreement,
              (p.argmax(-1) == q.argmax(-1)).to(at::kDouble).mean().item<double>(), 1e-12);
}

TEST(PerplexityFault, TooShortTextNamesBothLengths) {
  expect_error<c10::ValueError>(
      [] {
        evaluate_perplexity(tiny_lm(), std::span(evaluation_tokens()).first(100), {.context = 256});
      },
      {"100 tokens", "256", "longer text"});
}

TEST(PerplexityFault, OptionsThatContradictAreNamed) {
  const auto run = [](const PerplexityOptions& options) {
    return [=] { evaluate_perplexity(tiny_lm(), evaluation_tokens(), options); };
  };
  expect_error<c10::ValueError>(run({.context = 1}), {"context", "at least 2"});
  expect_error<c10::ValueError>(run({.context = 16, .stride = 4}), {"stride", "convention"});
  expect_error<c10::ValueError>(
      run({.context = 16, .convention = Convention::kStride, .stride = 16}),
      {"stride", "1 to", "15"});
  expect_error<c10::ValueError>(run({.context = 3, .convention = Convention::kLlamaCpp}),
                                {"llama.cpp", "at least 4"});
}

TEST(PerplexityFault, TokenOutsideOfTheVocabularyIsNamed) {
  const std::vector<int64_t> tokens = {1, 2, 4096, 3};
  expect_error<c10::ValueError>([&] { evaluate_perplexity(tiny_lm(), tokens, {.context = 4}); },
                                {"token 2", "4096"});
}

TEST(PerplexityFault, LogitThatIsNotFiniteNamesTheWindow) {
  LanguageModel broken = tiny_lm();
  const std::string name = "model.norm.weight";
  auto changed = std::make_shared<graph::OverlaidParameters>(*tiny_lm().parameters,
                                                             std::map<std::string, at::Tensor>{});
  changed->set(name, at::full_like(tiny_lm().parameters->get(name), std::nan("")));
  broken.parameters = changed;
  expect_error<c10::ValueError>(
      [&] { evaluate_perplexity(broken, evaluation_tokens(), {.context = 64}); },
      {"window 0", "not finite"});
}

TEST(PerplexityFault, AnotherVocabularyIsRefused) {
  LanguageModel other = tiny_lm();
  other.vocabulary_size = 17;
  expect_error<c10::ValueError>(
      [&] { evaluate_perplexity(tiny_lm(), evaluation_tokens(), {.context = 64}, &other); },
      {"vocabulary", "17", "4096"});
}

TEST(PerplexityFault, BosOfAModelWithoutOneIsRefused) {
  LanguageModel model = tiny_lm();
  model.config.erase("bos_token_id");
  model.directory = "/nowhere";
  expect_error<c10::ValueError>(
      [&] {
        evaluate_perplexity(model, evaluation_tokens(), {.context = 64, .bos = BosPolicy::kFirst});
      },
      {"/nowhere", "bos_token_id", "--bos none"});
}

TEST(Text, FaultsOfATextAreNamed) {
  const testing::TemporaryDirectory directory;
  const auto path = directory / "text.txt";
  std::ofstream(path) << "";
  expect_error<c10::ValueError>([&] { read_tokens(tiny_lm(), path); }, {path.string(), "empty"});
  std::ofstream(path) << "abc\xff";
  expect_error<c10::ValueError>([&] { read_tokens(tiny_lm(), path); },
                                {path.string(), "byte 3", "UTF-8"});
  expect_error<c10::ValueError>([&] { read_tokens(tiny_lm(), directory / "absent"); },
                                {"absent", "No such file"});
  LanguageModel dumb = tiny_lm();
  dumb.tokenizer = nullptr;
  std::ofstream(path) << "abc";
  expect_error<c10::ValueError>([&] { read_tokens(dumb, path); }, {"no tokenizer"});
}

}  // namespace
}  // namespace laconic
