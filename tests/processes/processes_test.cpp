#include "laconic/processes/processes.h"

#include <ATen/ATen.h>

#include <map>

#include "tests/processes/in_threads.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::in_threads;

std::optional<MeetingPoint> found(const std::map<std::string, std::string>& variables) {
  return find_meeting_point([&](const char* name) {
    const auto place = variables.find(name);
    return place == variables.end() ? nullptr : place->second.c_str();
  });
}

TEST(MeetingPoint, IsAbsentForOneProcess) {
  EXPECT_FALSE(found({}));
  EXPECT_FALSE(found({{"RANK", "0"}, {"WORLD_SIZE", "1"}}));
}

TEST(MeetingPoint, IsWhatTheStarterSays) {
  const MeetingPoint expected{"node7", 29500, 2, 4, "", 2};
  for (const auto& [rank, size] :
       {std::pair("RANK", "WORLD_SIZE"), std::pair("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
        std::pair("PMI_RANK", "PMI_SIZE"), std::pair("SLURM_PROCID", "SLURM_NTASKS")})
    EXPECT_EQ(found({{rank, "2"}, {size, "4"}, {"MASTER_ADDR", "node7"}, {"MASTER_PORT", "29500"}}),
              expected)
        << rank;
}

TEST(MeetingPoint, KnowsThePlaceOnItsMachine) {
  for (const auto& [rank, size, local] :
       {std::tuple("RANK", "WORLD_SIZE", "LOCAL_RANK"),
        std::tuple("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
        std::tuple("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),
        std::tuple("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID")})
    EXPECT_EQ(found({{rank, "5"},
                     {size, "8"},
                     {local, "1"},
                     {"MASTER_ADDR", "node7"},
                     {"MASTER_PORT", "29500"}})
                  ->local_rank,
              1)
        << rank;
}

TEST(MeetingPoint, SlurmAloneStartsNothing) {
  EXPECT_FALSE(found({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}}));
}

TEST(MeetingPoint, TheAgentOfTorchrunKeepsTheStore) {
  const auto point = found({{"RANK", "0"},
                            {"WORLD_SIZE", "2"},
                            {"MASTER_ADDR", "localhost"},
                            {"MASTER_PORT", "1"},
                            {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                            {"TORCHELASTIC_RESTART_COUNT", "3"}});
  ASSERT_TRUE(point);
  EXPECT_EQ(point->agent_prefix, "/worker/attempt_3");
}

TEST(MeetingPoint, WhatIsWrongIsNamed) {
  const std::map<std::string, std::string> good = {
      {"RANK", "1"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "localhost"}, {"MASTER_PORT", "29500"}};
  const auto refused = [&](const std::string& name, const std::string& value,
                           const std::vector<std::string>& words) {
    auto variables = good;
    variables[name] = value;
    expect_error<c10::ValueError>([&] { found(variables); }, words);
  };
  refused("RANK", "2", {"RANK", "from 0 to 1", "\"2\""});
  refused("RANK", "-1", {"RANK", "\"-1\""});
  refused("LOCAL_RANK", "2", {"LOCAL_RANK", "from 0 to 1", "\"2\""});
  refused("WORLD_SIZE", "many", {"WORLD_SIZE", "\"many\""});
  refused("WORLD_SIZE", "99999999999999999999", {"WORLD_SIZE"});
  refused("MASTER_PORT", "70000", {"MASTER_PORT", "65535"});
  refused("MASTER_PORT", "80x", {"MASTER_PORT", "\"80x\""});
  auto homeless = good;
  homeless.erase("MASTER_ADDR");
  expect_error<c10::ValueError>([&] { found(homeless); }, {"MASTER_ADDR", "not set"});
}

TEST(Processes, SumOfAllIsTheSameOnEach) {
  in_threads(3, [](Processes& processes) {
    for (const auto dtype : {at::kFloat, at::kDouble, at::kLong}) {
      at::Tensor numbers = at::arange(5).to(dtype) * (processes.rank() + 1);
      processes.sum(numbers);
      EXPECT_TRUE(at::equal(numbers, at::arange(5).to(dtype) * 6)) << dtype;
    }
    at::Tensor one = at::ones({});  // no dimensions
    processes.sum(one);
    EXPECT_EQ(one.item<double>(), 3);
  });
}

TEST(Processes, GatherTextsOfDifferentLengths) {
  in_threads(3, [](Processes& processes) {
    const std::vector<std::string> texts = {"", "of one", std::string("z\0ro", 4)};
    EXPECT_EQ(gather_text(processes, texts[static_cast<size_t>(processes.rank())]), texts);
    EXPECT_EQ(gather_text(processes, ""), std::vector<std::string>(3));
  });
}

TEST(Processes, ShareTensorsOfAnyKind) {
  in_threads(2, [](Processes& processes) {
    const std::vector<at::Tensor> given = {
        at::arange(6).reshape({2, 3}).to(at::kChar),
        at::Tensor(),
        at::full({}, 2.5),
        at::empty({0, 4}, at::kHalf),
        at::arange(4).to(at::kShort),
        at::arange(4).to(at::kBFloat16).reshape({2, 2}).t(),
        at::ones({2}, at::kBool),
    };
    for (const int64_t from : {0, 1}) {
      const auto mine = processes.rank() == from ? given : std::vector<at::Tensor>();
      const auto got = share_tensors(processes, mine, from);
      ASSERT_EQ(got.size(), given.size());
      for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_EQ(got[i].defined(), given[i].defined()) << i;
        if (!got[i].defined()) continue;
        EXPECT_EQ(got[i].scalar_type(), given[i].scalar_type()) << i;
        EXPECT_TRUE(at::equal(got[i], given[i])) << i;
      }
    }
  });
}

TEST(Processes, OneThatStopsIsNamedToTheOthers) {
  expect_error<c10::Error>(
      [] {
        in_threads(2, [](Processes& processes) {
          if (processes.rank() == 1) return;  // and its connections close
          at::Tensor numbers = at::ones({3});
          processes.sum(numbers);
        });
      },
      {"[processes] process 0 of 2", "another process has stopped"});
}

TEST(Share, IsInOrderAndOfAlmostTheSameLength) {
  EXPECT_EQ(share_of(10, 0, 1), (Share{0, 10}));
  for (const int64_t count : {4, 5, 7, 100})
    for (const int64_t size : {1, 2, 3, 4}) {
      int64_t next = 0;
      for (int64_t rank = 0; rank < size; ++rank) {
        const Share share = share_of(count, rank, size);
        EXPECT_EQ(share.begin, next);
        EXPECT_GE(share.count(), count / size);
        EXPECT_LE(share.count(), (count + size - 1) / size);
        next = share.end;
      }
      EXPECT_EQ(next, count);
    }
}

}  // namespace
}  // namespace laconic
