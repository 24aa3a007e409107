#include "laconic/calibrate/memory_plan.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "laconic/base/text.h"
#include "laconic/calibrate/segment_needs.h"
#include "laconic/kernel/device_memory.h"

namespace laconic {
namespace {

/// LibTorch's code and tables that come into memory with the first products, and what the heap
/// leaves unused.
constexpr int64_t kProgram = int64_t{96} << 20;
/// What the libraries of matrix products and factors take of a device's memory.
constexpr int64_t kDeviceProgram = int64_t{128} << 20;

/// A way to work under the limits, but for the windows at once.
struct Way {
  KeptIn carried, hessians;
  Held in_main_memory;  ///< what counts there
};

/// From the quickest on.
std::vector<Way> ways_to_work(const EngineOptions& options) {
  constexpr auto device = KeptIn::kDevice, memory = KeptIn::kMemory, disk = KeptIn::kDisk;
  // Everything counts as main memory first: what goes to a device comes through it.
  if (!options.device.is_cpu() && options.device_memory == 0)
    return {{device, device, {true, true}}, {device, device, {false, true}}};
  std::vector<Way> ways;
  // Hessians that wait are written once and read once, activations many times.
  if (!options.device.is_cpu())
    ways = {{device, device, {false, false}}, {device, memory, {false, true}}};
  for (const KeptIn carried : {memory, disk})
    for (const KeptIn hessians : {memory, disk})
      ways.push_back({carried, hessians, {carried == memory, hessians == memory}});
  return ways;
}

/// What counts as the device's memory.
Held on_device_of(const Way& way) {
  return {way.carried == KeptIn::kDevice, way.hessians == KeptIn::kDevice};
}

class Planner {
 public:
  Planner(const PlannedWork& work, const EngineOptions& options, uint64_t resident)
      : work_(work), resident_(resident), main_(segment_needs(work, Memory::kMain)) {
    if (options.device_memory > 0) device_ = segment_needs(work, Memory::kDevice);
  }

  /// Bytes of the segment that needs the most.
  uint64_t in_main_memory(int64_t batch, Held held) const {
    return resident_ + static_cast<uint64_t>(most(main_, batch, held) + kProgram);
  }
  /// 0 without a limit of it.
  uint64_t on_device(int64_t batch, Held held) const {
    if (device_.empty()) return 0;
    const int64_t bytes = most(device_, batch, held);
    // An eighth for holes between tensors.
    return static_cast<uint64_t>(bytes + bytes / 8 + kDeviceProgram);
  }
  void refuse_main_memory(uint64_t limit) const;
  void refuse_device(uint64_t limit) const;

 private:
  int64_t most(const std::vector<SegmentNeeds>& all, int64_t batch, Held held) const {
    int64_t bytes = 0;
    for (const SegmentNeeds& needs : all)
      bytes = std::max(bytes, needed_bytes(work_, needs, batch, held));
    return bytes;
  }
  /// The segment that needs the most with one window at once.
  const SegmentNeeds& largest(const std::vector<SegmentNeeds>& all) const {
    return *std::max_element(all.begin(), all.end(),
                             [&](const SegmentNeeds& a, const SegmentNeeds& b) {
                               return needed_bytes(work_, a, 1, {}) < needed_bytes(work_, b, 1, {});
                             });
  }

  const PlannedWork& work_;
  uint64_t resident_;
  std::vector<SegmentNeeds> main_, device_;
};

/// A limit of one memory that is too little.
struct Shortage {
  const char* option;
  uint64_t limit, needed;
  const char* holder;  ///< of `held` bytes that no plan changes
  uint64_t held;
  const char* elsewhere;  ///< where what waits is by then
};

void refuse(const Shortage& shortage, const SegmentNeeds& needs, const OtherWork& work) {
  TORCH_CHECK_VALUE(false, work.where, " ", shortage.option, " ", readable_bytes(shortage.limit),
                    " is too little: ", needs.kind, " ", needs.largest, " needs up to ",
                    readable_bytes(shortage.needed), " (", shortage.needed, " bytes; ",
                    shortage.holder, " ", readable_bytes(shortage.held), ", weights of its block ",
                    readable_bytes(static_cast<uint64_t>(needs.weights)), ", ", work.worker, " ",
                    readable_bytes(static_cast<uint64_t>(needs.solving)),
                    "), one window at a time, activations and Hessians that wait ",
                    shortage.elsewhere, ". Allow that much, or ", work.what_helps, ".");
}

void Planner::refuse_main_memory(uint64_t limit) const {
  refuse({"--host-memory", limit, in_main_memory(1, {}), "the program itself",
          resident_ + static_cast<uint64_t>(kProgram), "on disk"},
         largest(main_), work_.other);
}

void Planner::refuse_device(uint64_t limit) const {
  refuse({"--device-memory", limit, on_device(1, {}), "the device's libraries",
          static_cast<uint64_t>(kDeviceProgram), "in main memory"},
         largest(device_), work_.other);
}

bool is_within(uint64_t bytes, uint64_t limit) { return limit == 0 || bytes <= limit; }

const char* word_of(KeptIn place) {
  switch (place) {
    case KeptIn::kDevice:
      return "device";
    case KeptIn::kMemory:
      return "memory";
    case KeptIn::kDisk:
      return "disk";
  }
  return "";
}

}  // namespace

MemoryReport plan_memory(const PlannedWork& work, const EngineOptions& options, uint64_t resident) {
  TORCH_CHECK_VALUE(options.device_memory == 0 || !options.device.is_cpu(),
                    "[engine] --device-memory: expected another device than the CPU, whose memory "
                    "it limits. Give --device cuda, or --host-memory for main memory.");
  MemoryReport report{.limit = options.host_memory, .device_limit = options.device_memory};
  const Planner planner(work, options, resident);
  const int64_t asked = std::max<int64_t>(options.batch, 1);
  for (const Way& way : ways_to_work(options)) {
    report.carried = way.carried;
    report.hessians = way.hessians;
    for (report.batch = asked; report.batch > 0; report.batch /= 2) {
      report.planned_bytes = planner.in_main_memory(report.batch, way.in_main_memory);
      report.device_planned_bytes = planner.on_device(report.batch, on_device_of(way));
      if (is_within(report.planned_bytes, report.limit) &&
          is_within(report.device_planned_bytes, report.device_limit))
        return report;
    }
  }
  if (!is_within(planner.on_device(1, {}), report.device_limit))
    planner.refuse_device(report.device_limit);
  planner.refuse_main_memory(report.limit);
  return report;
}

std::string describe_memory(const MemoryReport& report) {
  std::string text;
  std::vector<std::string> spilled;
  const auto say = [&](uint64_t bytes, const char* of) {
    if (bytes > 0) spilled.push_back(readable_bytes(bytes) + " of " + of);
  };
  say(report.spilled_bytes, "activations");
  say(report.spilled_hessian_bytes, "Hessians");
  if (!spilled.empty())
    text += "  " + join(spilled, " and ") + " were on disk, to stay under " +
            readable_bytes(report.limit) + "\n";
  if (report.device_limit > 0)
    text += "  " + readable_bytes(report.device_peak_bytes) +
            " of the device's memory were taken, of " + readable_bytes(report.device_limit) +
            (report.carried == KeptIn::kDevice ? "\n" : "; activations waited outside of it\n");
  return text;
}

void obey_device_limit(const EngineOptions& options) {
  if (options.device.is_cpu()) return;
  kernel::count_device_peak_anew(options.device);
  if (options.device_memory > 0) kernel::limit_device_memory(options.device, options.device_memory);
}

void note_device_peak(const EngineOptions& options, MemoryReport& report) {
  if (!options.device.is_cpu()) report.device_peak_bytes = kernel::device_peak(options.device);
}

nlohmann::json to_json(const MemoryReport& report) {
  return {{"limit", report.limit},
          {"planned", report.planned_bytes},
          {"batch", report.batch},
          {"activations", word_of(report.carried)},
          {"hessians", word_of(report.hessians)},
          {"spilled", report.spilled_bytes},
          {"spilled_hessians", report.spilled_hessian_bytes},
          {"device",
           {{"limit", report.device_limit},
            {"planned", report.device_planned_bytes},
            {"peak", report.device_peak_bytes}}},
          {"notes", report.notes}};
}

}  // namespace laconic
