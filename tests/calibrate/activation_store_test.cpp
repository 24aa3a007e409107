#include "laconic/calibrate/activation_store.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/rand.h>
#include <c10/core/InferenceMode.h>

#include "tests/testing/testing.h"

namespace laconic {
namespace {

const graph::Value kHidden{1, 0}, kAttention{2, 0}, kTable{3, 0};

TEST(ActivationStore, KeepsTheValuesOfEveryBatchInOneAllocation) {
  ActivationStore store(5);
  const at::Tensor first = at::rand({4, 3, 8}), last = at::rand({1, 3, 8});
  graph::Environment one{{kHidden, first}}, two{{kHidden, last}};
  store.keep(0, 4, one);
  store.keep(4, 1, two);
  EXPECT_TRUE(at::equal(one.at(kHidden), first));
  EXPECT_TRUE(at::equal(two.at(kHidden), last));
  EXPECT_TRUE(one.at(kHidden).is_alias_of(two.at(kHidden)));
  EXPECT_FALSE(one.at(kHidden).is_alias_of(first));
}

TEST(ActivationStore, MemoryOfAValueThatIsNoLongerCarriedIsUsedAgain) {
  ActivationStore store(4);
  graph::Environment environment{{kHidden, at::rand({4, 8})}};
  store.keep(0, 4, environment);
  const void* place = environment.at(kHidden).const_data_ptr();
  const at::Tensor attention = at::rand({4, 8});
  environment = {{kAttention, attention}};
  store.keep(0, 4, environment);
  EXPECT_EQ(environment.at(kAttention).const_data_ptr(), place);
  EXPECT_TRUE(at::equal(environment.at(kAttention), attention));
}

TEST(ActivationStore, AValueThatAnotherIsAViewOfIsNotOverwritten) {
  ActivationStore store(4);
  const at::Tensor hidden = at::rand({4, 2, 4}), attention = at::rand({4, 8});
  graph::Environment environment{{kHidden, hidden}};
  store.keep(0, 4, environment);
  environment = {{kHidden, environment.at(kHidden).transpose(1, 2)}, {kAttention, attention}};
  store.keep(0, 4, environment);
  EXPECT_TRUE(at::equal(environment.at(kHidden), hidden.transpose(1, 2)));
  EXPECT_TRUE(at::equal(environment.at(kAttention), attention));
}

TEST(ActivationStore, WhatIsNotOfTheWindowsStaysWhereItIs) {
  ActivationStore store(4);
  const at::Tensor table = at::rand({1, 16});
  graph::Environment environment{{kTable, table}};
  store.keep(0, 4, environment);
  EXPECT_TRUE(environment.at(kTable).is_same(table));
}

TEST(ActivationStore, OnDiskValuesAreTheSameAfterTheyLeftMemory) {
  const testing::TemporaryDirectory directory;
  const auto disk = std::make_shared<DiskMemory>(directory.path());
  ActivationStore store(4, {.disk = disk});
  const at::Tensor hidden = at::rand({4, 2, 4});
  graph::Environment environment{{kHidden, hidden}};
  store.keep(0, 4, environment);
  EXPECT_EQ(disk->peak_bytes(), 4u * 8 * sizeof(float));
  store.drop(environment);
  EXPECT_TRUE(at::equal(environment.at(kHidden), hidden));
  // A store of its own on the same disk lets the first one's values go as well.
  const ActivationStore another = store.another();
  another.drop(environment);
  EXPECT_TRUE(at::equal(environment.at(kHidden), hidden));
}

TEST(ActivationStore, MemoryThatNoBatchUsesIsGivenBack) {
  const c10::InferenceMode no_gradients;  // else a view holds on to its base
  ActivationStore store(4);
  graph::Environment environment{{kHidden, at::rand({4, 8})}};
  store.keep(0, 4, environment);
  const at::Tensor hidden = environment.at(kHidden);
  environment = {{kAttention, at::rand({4, 16})}};
  store.keep(0, 4, environment);  // of another size: the first is no longer used
  store.release_unused();
  EXPECT_EQ(hidden.storage().use_count(), 2u);  // used since the last call: kept until the next
  store.keep(0, 4, environment);
  store.release_unused();
  EXPECT_EQ(hidden.storage().use_count(), 1u);
  EXPECT_EQ(environment.at(kAttention).size(1), 16);
}

}  // namespace
}  // namespace laconic
