// Gloo's own headers come from the system, LibTorch's copy of the library does the work.
#define USE_C10D_GLOO
#include <chrono>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "laconic/processes/lost_process.h"
#ifdef LACONIC_CUDA
#include "laconic/processes/cuda/nccl.h"
#endif

namespace laconic {
namespace {

constexpr std::chrono::minutes kMeeting{15};
/// One process may wait while another solves a large layer; one that died is seen at once.
constexpr std::chrono::hours kWorking{24};

class GlooProcesses : public Processes {
 public:
  GlooProcesses(const MeetingPoint& point, const c10::intrusive_ptr<c10d::Store>& store,
                const c10::intrusive_ptr<c10d::ProcessGroupGloo::Options>& options)
      : size_(point.size),
        group_(
            c10::make_intrusive<c10d::ProcessGroupGloo>(store, point.rank, point.size, options)) {}

  int64_t rank() const override { return group_->getRank(); }
  int64_t size() const override { return size_; }

  void sum(at::Tensor& numbers) override {
    in_main_memory(numbers, numbers.detach().cpu(),
                   [&](std::vector<at::Tensor>& ours) { return group_->allreduce(ours); });
  }

  void broadcast(at::Tensor& numbers, int64_t from) override {
    c10d::BroadcastOptions options;
    options.rootRank = from;
    // What the others have is written over: nothing of theirs leaves a device.
    const bool is_mine = rank() == from || numbers.is_cpu();
    in_main_memory(numbers,
                   is_mine ? numbers.detach().cpu() : at::empty_like(numbers, at::Device(at::kCPU)),
                   [&](std::vector<at::Tensor>& ours) { return group_->broadcast(ours, options); });
  }

  std::vector<at::Tensor> gather(const at::Tensor& numbers) override {
    std::vector<at::Tensor> ours{numbers.detach().cpu().contiguous()};
    std::vector<std::vector<at::Tensor>> all(1);
    for (int64_t i = 0; i < size_; ++i) all.front().push_back(ours.front().clone());
    finish([&] { return group_->allgather(all, ours); });
    return all.front();
  }

 private:
  /// @param copy  of the numbers in main memory, or they themselves.
  template <typename Collective>
  void in_main_memory(at::Tensor& numbers, const at::Tensor& copy, const Collective& collective) {
    std::vector<at::Tensor> ours{copy.contiguous()};
    finish([&] { return collective(ours); });
    if (!ours.front().is_alias_of(numbers)) numbers.copy_(ours.front());
  }

  template <typename Start>
  void finish(const Start& start) const {
    try {
      start()->wait();
    } catch (const std::exception& error) {
      report_lost_process(*this, error.what());
    }
  }

  int64_t size_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
};

c10::intrusive_ptr<c10d::Store> open_store(const MeetingPoint& point) {
  c10d::TCPStoreOptions options;
  options.port = point.port;
  options.isServer = point.agent_prefix.empty() && point.rank == 0;
  options.waitWorkers = false;
  options.timeout = kMeeting;
  const auto store = c10::make_intrusive<c10d::TCPStore>(point.address, options);
  if (point.agent_prefix.empty()) return store;
  return c10::make_intrusive<c10d::PrefixStore>(point.agent_prefix, store);
}

}  // namespace

std::unique_ptr<Processes> meet(const MeetingPoint& point) {
  try {
    const auto store = open_store(point);
    const auto options = c10d::ProcessGroupGloo::Options::create(kWorking);
    options->devices.push_back(c10d::ProcessGroupGloo::createDefaultDevice());
    auto processes = std::make_unique<GlooProcesses>(point, store, options);
#ifdef LACONIC_CUDA
    return with_nccl(std::move(processes));
#else
    return processes;
#endif
  } catch (const std::exception& error) {
    const std::string why = error.what();
    TORCH_CHECK(false, "[processes] process ", point.rank, " of ", point.size,
                " did not meet the others at ", point.address, ":", point.port,
                ". Is that host right and the port free there, and were all processes started? (",
                why.substr(0, why.find('\n')), ")");
  }
}

}  // namespace laconic
