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
  CarriedIn carried = CarriedIn::kMemory;
  bool in_main_memory = false;  ///< what is carried counts there
};

/// From the quickest on.
std::vector<Way> ways_to_work(const EngineOptions& options) {
  const Way memory{CarriedIn::kMemory, true}, disk{CarriedIn::kDisk, false};
  if (options.device.is_cpu()) return {memory, disk};
  if (options.device_memory > 0) return {{CarriedIn::kDevice, false}, memory, disk};
  // Everything counts as main memory first: what goes to a device comes through it.
  return {{CarriedIn::kDevice, true}, {CarriedIn::kDevice, false}};
}

class Planner {
 public:
  Planner(const PlannedWork& work, const EngineOptions& options, uint64_t resident)
      : work_(work), resident_(resident), main_(segment_needs(work, Memory::kMain)) {
    if (options.device_memory > 0) device_ = segment_needs(work, Memory::kDevice);
  }

  /// Bytes of the segment that needs the most.
  uint64_t in_main_memory(int64_t batch, bool carried) const {
    return resident_ + static_cast<uint64_t>(most(main_, batch, carried) + kProgram);
  }
  /// 0 without a limit of it.
  uint64_t on_device(int64_t batch, bool carried) const {
    if (device_.empty()) return 0;
    const int64_t bytes = most(device_, batch, carried);
    // An eighth for holes between tensors.
    return static_cast<uint64_t>(bytes + bytes / 8 + kDeviceProgram);
  }
  void refuse_main_memory(uint64_t limit) const;
  void refuse_device(uint64_t limit) const;

 private:
  int64_t most(const std::vector<SegmentNeeds>& all, int64_t batch, bool carried) const {
    int64_t bytes = 0;
    for (const SegmentNeeds& needs : all)
      bytes = std::max(bytes, needed_bytes(work_, needs, batch, carried));
    return bytes;
  }
  /// The segment that needs the most with one window at once.
  const SegmentNeeds& largest(const std::vector<SegmentNeeds>& all) const {
    return *std::max_element(
        all.begin(), all.end(), [&](const SegmentNeeds& a, const SegmentNeeds& b) {
          return needed_bytes(work_, a, 1, false) < needed_bytes(work_, b, 1, false);
        });
  }

  const PlannedWork& work_;
  uint64_t resident_;
  std::vector<SegmentNeeds> main_, device_;
};

constexpr const char* kWhatHelps =
    "Allow that much, or choose shorter windows (calibration.length), a solver that needs no "
    "Hessian (nearest), or leave the layer out (skip: true).";

/// "its block needs 1 MiB of weights ...": what the number is made of.
std::string parts_of(const SegmentNeeds& needs) {
  return ", weights of its block " + readable_bytes(static_cast<uint64_t>(needs.weights)) +
         ", its Hessian and solver " + readable_bytes(static_cast<uint64_t>(needs.solving)) + "), ";
}

void Planner::refuse_main_memory(uint64_t limit) const {
  const uint64_t needed = in_main_memory(1, false);
  const SegmentNeeds& needs = largest(main_);
  TORCH_CHECK_VALUE(false, "[engine] --host-memory ", readable_bytes(limit),
                    " is too little: layer ", needs.largest, " needs up to ",
                    readable_bytes(needed), " (", needed, " bytes; the program itself ",
                    readable_bytes(resident_ + static_cast<uint64_t>(kProgram)), parts_of(needs),
                    "one window at a time and activations on disk. ", kWhatHelps);
}

void Planner::refuse_device(uint64_t limit) const {
  const uint64_t needed = on_device(1, false);
  const SegmentNeeds& needs = largest(device_);
  TORCH_CHECK_VALUE(false, "[engine] --device-memory ", readable_bytes(limit),
                    " is too little: layer ", needs.largest, " needs up to ",
                    readable_bytes(needed), " (", needed, " bytes; the device's libraries ",
                    readable_bytes(static_cast<uint64_t>(kDeviceProgram)), parts_of(needs),
                    "one window at a time and activations in main memory. ", kWhatHelps);
}

bool is_within(uint64_t bytes, uint64_t limit) { return limit == 0 || bytes <= limit; }

const char* word_of(CarriedIn carried) {
  switch (carried) {
    case CarriedIn::kDevice:
      return "device";
    case CarriedIn::kMemory:
      return "memory";
    case CarriedIn::kDisk:
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
    for (report.batch = asked; report.batch > 0; report.batch /= 2) {
      report.planned_bytes = planner.in_main_memory(report.batch, way.in_main_memory);
      report.device_planned_bytes =
          planner.on_device(report.batch, way.carried == CarriedIn::kDevice);
      if (is_within(report.planned_bytes, report.limit) &&
          is_within(report.device_planned_bytes, report.device_limit))
        return report;
    }
  }
  if (!is_within(planner.on_device(1, false), report.device_limit))
    planner.refuse_device(report.device_limit);
  planner.refuse_main_memory(report.limit);
  return report;
}

std::string describe_memory(const MemoryReport& report) {
  std::string text;
  if (report.carried == CarriedIn::kDisk)
    text += "  " + readable_bytes(report.spilled_bytes) +
            " of activations were on disk, to stay under " + readable_bytes(report.limit) + "\n";
  if (report.device_limit > 0)
    text += "  " + readable_bytes(report.device_peak_bytes) +
            " of the device's memory were taken, of " + readable_bytes(report.device_limit) +
            (report.carried == CarriedIn::kDevice ? "\n" : "; activations waited outside of it\n");
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
          {"spilled", report.spilled_bytes},
          {"device",
           {{"limit", report.device_limit},
            {"planned", report.device_planned_bytes},
            {"peak", report.device_peak_bytes}}},
          {"notes", report.notes}};
}

}  // namespace laconic
