#include "laconic/kernel/parallel.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

namespace laconic::kernel {
namespace {

/// Threads that a loop over `count` numbers runs on, each number visited once.
size_t threads_of_loop(int64_t count, int64_t grain) {
  std::vector<int> visits(static_cast<size_t>(count), 0);
  std::set<std::thread::id> threads;
  std::mutex mutex;
  parallel_for(0, count, grain, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) ++visits[static_cast<size_t>(i)];
    const std::lock_guard lock(mutex);
    threads.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(visits, std::vector<int>(static_cast<size_t>(count), 1));
  return threads.size();
}

TEST(ParallelFor, HasAsManyThreadsAsAskedButOneForEachGrain) {
#ifdef __clang__
  GTEST_SKIP() << "built without OpenMP: loops have one thread";
#endif
  const int threads = at::get_num_threads();
  at::set_num_threads(3);
  EXPECT_EQ(threads_of_loop(300, 1), 3U);
  EXPECT_EQ(threads_of_loop(300, 150), 2U);
  EXPECT_EQ(threads_of_loop(300, 300), 1U);
  at::set_num_threads(1);
  EXPECT_EQ(threads_of_loop(300, 1), 1U);
  at::set_num_threads(threads);
}

TEST(ParallelFor, WithinAnotherHasOneThread) {
  const int threads = at::get_num_threads();
  at::set_num_threads(2);
  parallel_for(0, 2, 1, [](int64_t, int64_t) { EXPECT_EQ(threads_of_loop(10, 1), 1U); });
  at::set_num_threads(threads);
}

TEST(ParallelFor, ThrowsWhatAPartThrows) {
  EXPECT_THROW(parallel_for(0, 8, 1,
                            [](int64_t, int64_t last) {
                              if (last == 8) throw std::runtime_error("the last part");
                            }),
               std::runtime_error);
}

}  // namespace
}  // namespace laconic::kernel
