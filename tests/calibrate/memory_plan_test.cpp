// Plans of given shapes and limits: no device is needed to make them.
#include "laconic/calibrate/memory_plan.h"

#include "laconic/calibrate/segments.h"
#include "tests/calibrate/small_model.h"

namespace laconic {
namespace {

using testing::expect_error;
using testing::tiny;

constexpr uint64_t kMiB = uint64_t{1} << 20, kResident = 200 * kMiB;

enum class Job { kOneNetwork, kTwoNetworks, kWholeBlocks };

std::vector<LayerPlan> hessian_plans(Job job) {
  std::vector<LayerPlan> plans;
  for (const graph::LinearLayer& layer : tiny().layers) {
    plans.push_back({.layer = layer, .weight = {}, .input = {}, .needs_hessian = true});
    plans.back().is_joint = job == Job::kWholeBlocks && layer.name != "lm_head";
  }
  return plans;
}

MemoryReport plan_of(const EngineOptions& options, Job job = Job::kOneNetwork) {
  const std::vector<LayerPlan> plans = hessian_plans(job);
  const EngineGraph graph = plan_segments(tiny(), plans, false);
  return plan_memory({.model = tiny(),
                      .graph = graph,
                      .runs_float = job != Job::kOneNetwork,
                      .run = graph.segments.size(),
                      .windows = 64,
                      .length = 256},
                     options, kResident);
}

EngineOptions on_device(uint64_t device_memory, uint64_t host_memory = 0) {
  return {
      .batch = 8, .device = at::kCUDA, .host_memory = host_memory, .device_memory = device_memory};
}

/// The number that a refusal names.
uint64_t least_of(EngineOptions options) {
  (options.device_memory > 0 ? options.device_memory : options.host_memory) = 1;
  try {
    plan_of(options);
  } catch (const c10::ValueError& error) {
    const std::string text = error.what();
    const size_t end = text.find(" bytes; ");
    return std::stoull(text.substr(text.rfind('(', end) + 1));
  }
  return 0;
}

TEST(DevicePlan, WithoutALimitNothingChanges) {
  const MemoryReport report = plan_of(on_device(0));
  EXPECT_EQ(report.carried, KeptIn::kDevice);
  EXPECT_EQ(report.batch, 8);
  EXPECT_EQ(report.device_planned_bytes, 0u);
  EXPECT_EQ(plan_of({.batch = 8}).carried, KeptIn::kMemory);
  EXPECT_EQ(plan_of({.batch = 8}).planned_bytes, report.planned_bytes);
}

TEST(DevicePlan, TheLessMemoryTheFewerWindowsAtOnceThenTheyWaitInMainMemory) {
  const MemoryReport free = plan_of(on_device(uint64_t{1} << 40));
  EXPECT_EQ(free.carried, KeptIn::kDevice);
  EXPECT_EQ(free.batch, 8);
  const uint64_t least = least_of(on_device(1));
  ASSERT_LT(least, free.device_planned_bytes);
  bool fewer_came_first = false, waited = false;
  for (uint64_t limit = free.device_planned_bytes; limit >= least; limit -= kMiB / 2) {
    const MemoryReport report = plan_of(on_device(limit));
    EXPECT_EQ(report.device_limit, limit);
    EXPECT_LE(report.device_planned_bytes, limit);
    EXPECT_NE(report.carried, KeptIn::kDisk);
    const bool on_it = report.carried == KeptIn::kDevice;
    EXPECT_FALSE(on_it && waited) << "back on the device with " << limit;
    fewer_came_first = fewer_came_first || (on_it && report.batch < 8);
    waited = waited || !on_it;
  }
  EXPECT_TRUE(fewer_came_first);
  EXPECT_TRUE(waited);
}

TEST(DevicePlan, WhatMainMemoryDoesNotHoldGoesToDisk) {
  const uint64_t device = least_of(on_device(1));
  const MemoryReport waits = plan_of(on_device(device));
  EXPECT_EQ(waits.carried, KeptIn::kMemory);
  EXPECT_EQ(waits.batch, 1);
  const MemoryReport spills = plan_of(on_device(device, waits.planned_bytes - 1));
  EXPECT_EQ(spills.carried, KeptIn::kDisk);
  EXPECT_LE(spills.planned_bytes, spills.limit);
}

TEST(DevicePlan, TooLittleIsRefusedWithTheLayerAndTheNumberThatWouldDo) {
  expect_error<c10::ValueError>([] { plan_of(on_device(10 * kMiB)); },
                                {"--device-memory 10.0 MiB is too little", "layer lm_head",
                                 " bytes; ", "that wait in main memory", "calibration.length"});
  const uint64_t least = least_of(on_device(1));
  EXPECT_EQ(plan_of(on_device(least)).batch, 1);
  expect_error<c10::ValueError>([&] { plan_of(on_device(least - 1)); }, {"is too little"});
  // Enough on the device, too little beside it.
  expect_error<c10::ValueError>([&] { plan_of(on_device(least, kMiB)); },
                                {"--host-memory 1.0 MiB is too little"});
}

TEST(DevicePlan, HessiansThatWaitLeaveTheDeviceBeforeActivations) {
  const MemoryReport free = plan_of(on_device(uint64_t{1} << 40), Job::kWholeBlocks);
  EXPECT_EQ(free.hessians, KeptIn::kDevice);
  EngineOptions one_window = on_device(free.device_planned_bytes);
  one_window.batch = 1;
  one_window.device_memory = plan_of(one_window, Job::kWholeBlocks).device_planned_bytes - 1;
  const MemoryReport less = plan_of(one_window, Job::kWholeBlocks);
  EXPECT_EQ(less.hessians, KeptIn::kMemory);
  EXPECT_EQ(less.carried, KeptIn::kDevice);
}

TEST(DevicePlan, TwoNetworksNeedMore) {
  const EngineOptions much = on_device(uint64_t{1} << 40);
  EXPECT_GT(plan_of(much, Job::kTwoNetworks).device_planned_bytes,
            plan_of(much).device_planned_bytes);
}

TEST(DevicePlan, ALimitOfNoDeviceIsRefused) {
  expect_error<c10::ValueError>([] { plan_of({.device_memory = 1}); },
                                {"--device-memory", "--device cuda", "--host-memory"});
}

}  // namespace
}  // namespace laconic
