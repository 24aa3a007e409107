// Tensors of CUDA devices. Most need two of them and skip where they are not.
#include <ATen/ATen.h>

#include <chrono>
#include <latch>

#include "tests/processes/in_threads.h"
#include "tests/testing/testing.h"
#ifdef LACONIC_CUDA
#include "laconic/processes/cuda/communicator.h"
#endif

namespace laconic {
namespace {

using laconic::testing::expect_error;
using laconic::testing::in_threads;

constexpr int64_t kMany = int64_t{1} << 18;  // enough for NCCL in every dtype

int64_t devices() {
  if (!at::hasCUDA()) return 0;
  return at::globalContext().getAcceleratorHooksInterface(at::kCUDA).deviceCount();
}
at::Device device_of(const Processes& processes) {
  return {at::kCUDA, static_cast<c10::DeviceIndex>(processes.rank())};
}
/// Numbers of which process `rank` has its own, small enough that every dtype sums them exactly.
at::Tensor numbers_of(int64_t rank, at::ScalarType dtype) {
  return (at::arange(kMany) % 50 + rank).to(dtype);
}
void expect_note(const Processes& processes, const std::string& words) {
  const auto notes = processes.notes();
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_THAT(notes.front(), ::testing::HasSubstr(words));
}

constexpr const char* kNeedsTwo = "needs two CUDA devices and a build with LACONIC_CUDA";

TEST(SeveralDevices, SumIsThatOfMainMemory) {
  if (devices() < 2) GTEST_SKIP() << kNeedsTwo;
  in_threads(2, [](Processes& processes) {
    for (const auto dtype :
         {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kChar}) {
      at::Tensor numbers = numbers_of(processes.rank(), dtype).to(device_of(processes));
      processes.sum(numbers);
      EXPECT_EQ(numbers.device(), device_of(processes));
      EXPECT_TRUE(at::equal(numbers.cpu(), numbers_of(0, dtype) + numbers_of(1, dtype))) << dtype;
    }
    at::Tensor turned = numbers_of(0, at::kFloat).view({512, -1}).to(device_of(processes)).t();
    processes.sum(turned);
    EXPECT_TRUE(at::equal(turned.t().cpu().flatten(), numbers_of(0, at::kFloat) * 2));
    expect_note(processes, "went over NCCL");
  });
}

TEST(SeveralDevices, SumHasTheSameBitsOnEach) {
  if (devices() < 2) GTEST_SKIP() << kNeedsTwo;
  in_threads(2, [](Processes& processes) {
    auto generator = at::detail::createCPUGenerator(static_cast<uint64_t>(processes.rank()));
    const at::Tensor own = at::randn({kMany + 3}, generator, at::TensorOptions(at::kFloat));
    at::Tensor numbers = own.to(device_of(processes)), again = own.to(device_of(processes));
    processes.sum(numbers);
    processes.sum(again);
    EXPECT_TRUE(at::equal(numbers, again));
    const auto all = processes.gather(numbers);
    EXPECT_TRUE(at::equal(all[0], all[1]));
  });
}

TEST(SeveralDevices, TensorsOfOneComeToTheDevicesOfAll) {
  if (devices() < 2) GTEST_SKIP() << kNeedsTwo;
  in_threads(2, [](Processes& processes) {
    for (const int64_t from : {0, 1}) {
      std::vector<at::Tensor> mine;
      if (processes.rank() == from)
        mine = {numbers_of(0, at::kByte).to(device_of(processes)), at::Tensor(),
                numbers_of(1, at::kHalf).view({64, -1}).t(), at::ones({3}, at::kBool)};
      const auto got = share_tensors(processes, mine, from, device_of(processes));
      ASSERT_EQ(got.size(), 4U);
      EXPECT_FALSE(got[1].defined());
      EXPECT_EQ(got[0].device(), device_of(processes));
      EXPECT_TRUE(at::equal(got[0].cpu(), numbers_of(0, at::kByte)));
      EXPECT_TRUE(at::equal(got[2].cpu(), numbers_of(1, at::kHalf).view({64, -1}).t()));
      EXPECT_TRUE(at::equal(got[3].cpu(), at::ones({3}, at::kBool)));
    }
    expect_note(processes, "went over NCCL");
  });
}

TEST(SeveralDevices, OneThatStopsIsNamedToTheOthers) {
  if (devices() < 2) GTEST_SKIP() << kNeedsTwo;
  expect_error<c10::Error>(
      [] {
        in_threads(2, [](Processes& processes) {
          at::Tensor numbers = numbers_of(0, at::kFloat).to(device_of(processes));
          processes.sum(numbers);
          if (processes.rank() == 1) return;
          processes.sum(numbers);
        });
      },
      {"[processes] process 0 of 2", "another process has stopped"});
}

TEST(SeveralDevices, TwoProcessesOnOneGoThroughMainMemory) {
  if (devices() < 1) GTEST_SKIP() << "needs a CUDA device and a build with LACONIC_CUDA";
  in_threads(2, [](Processes& processes) {
    const at::Device first(at::kCUDA, 0);
    for (int i = 0; i < 2; ++i) {
      at::Tensor numbers = numbers_of(processes.rank(), at::kFloat).to(first);
      processes.sum(numbers);
      EXPECT_TRUE(at::equal(numbers.cpu(), numbers_of(0, at::kFloat) + numbers_of(1, at::kFloat)));
    }
    expect_note(processes, "processes 0 and 1 are on one device");
  });
}

TEST(SeveralDevices, OneWithoutGoesThroughMainMemory) {
  if (devices() < 1) GTEST_SKIP() << "needs a CUDA device and a build with LACONIC_CUDA";
  in_threads(2, [](Processes& processes) {
    const at::Device own = processes.leads() ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
    at::Tensor numbers = numbers_of(processes.rank(), at::kFloat).to(own);
    processes.sum(numbers);
    EXPECT_TRUE(at::equal(numbers.cpu(), numbers_of(0, at::kFloat) + numbers_of(1, at::kFloat)));
    EXPECT_TRUE(processes.notes().empty());
  });
}

TEST(SeveralDevices, ManyNumbersInMainMemoryNeedNone) {
  in_threads(2, [](Processes& processes) {
    at::Tensor numbers = numbers_of(processes.rank(), at::kDouble);
    processes.sum(numbers);
    EXPECT_TRUE(at::equal(numbers, numbers_of(0, at::kDouble) + numbers_of(1, at::kDouble)));
    numbers += static_cast<double>(processes.rank());
    const at::Tensor of_one = numbers - static_cast<double>(processes.rank()) + 1.0;
    processes.broadcast(numbers, 1);
    EXPECT_TRUE(at::equal(numbers, of_one));
    EXPECT_TRUE(processes.notes().empty());
  });
}

#ifdef LACONIC_CUDA
TEST(Communicator, WaitsForAnotherNoLongerThanItMay) {
  if (devices() < 2) GTEST_SKIP() << kNeedsTwo;
  const std::string identity = Communicator::make_identity();
  std::latch is_over(1);
  in_threads(2, [&](Processes& processes) {
    const at::Device device = device_of(processes);
    Communicator communicator(identity, {processes.rank(), 2, device}, std::chrono::seconds(20));
    EXPECT_EQ(communicator.device(), device);
    if (processes.rank() == 1) return is_over.wait();  // and never comes
    at::Tensor numbers = at::ones({3}, at::TensorOptions(device));
    const auto begin = std::chrono::steady_clock::now();
    expect_error<c10::Error>([&] { communicator.sum(numbers); }, {"no answer in time"});
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(40));
    is_over.count_down();
  });
  EXPECT_EQ(at::ones({3}, at::TensorOptions(at::Device(at::kCUDA, 0))).sum().item<double>(), 3);
}

TEST(Communicator, RefusesAnIdentityThatIsNone) {
  expect_error<c10::ValueError>([] { Communicator("short", {}, std::chrono::seconds(1)); },
                                {"identity of 128 bytes, got 5"});
}
#endif

}  // namespace
}  // namespace laconic
