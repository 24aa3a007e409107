#include "laconic/processes/cuda/nccl.h"

#include <ATen/ops/full.h>

#include <map>

#include "laconic/processes/cuda/communicator.h"
#include "laconic/processes/lost_process.h"

namespace laconic {
namespace {

class NcclProcesses : public Processes {
 public:
  NcclProcesses(std::unique_ptr<Processes> others, NcclOptions options)
      : others_(std::move(others)), options_(options) {}

  int64_t rank() const override { return others_->rank(); }
  int64_t size() const override { return others_->size(); }

  void sum(at::Tensor& numbers) override {
    if (!Communicator::can_sum(numbers.scalar_type()) || !agree_on(numbers))
      return others_->sum(numbers);
    from_device(numbers, [&](at::Tensor& ours) { communicator_->sum(ours); });
  }

  void broadcast(at::Tensor& numbers, int64_t from) override {
    if (!agree_on(numbers)) return others_->broadcast(numbers, from);
    from_device(numbers, [&](at::Tensor& ours) { communicator_->broadcast(ours, from); });
  }

  std::vector<at::Tensor> gather(const at::Tensor& numbers) override {
    return others_->gather(numbers);
  }

  std::vector<std::string> notes() const override {
    if (communicator_ != nullptr) return {"numbers of several processes went over NCCL."};
    if (obstacle_.empty()) return {};
    return {"numbers of several processes went through main memory, not over NCCL: " + obstacle_};
  }

 private:
  /// Whether these go over NCCL: the same answer in all processes, which have all come then.
  bool agree_on(const at::Tensor& numbers) {
    if (numbers.nbytes() < options_.least_bytes) return false;
    const at::Device device = numbers.device();
    const bool is_willing = device.is_cuda() && obstacle_.empty() &&
                            (communicator_ == nullptr || communicator_->device() == device);
    if (is_willing) Communicator::catch_up(device);
    if (!all(is_willing)) return false;
    if (communicator_ == nullptr) obstacle_ = join(device);
    return obstacle_.empty();
  }

  bool all(bool is_so) {
    at::Tensor count = at::full({1}, is_so ? 1 : 0, at::kLong);
    others_->sum(count);
    return count.item<int64_t>() == size();
  }

  /// What is in the way, in the same words in all processes; nothing: they are joined.
  std::string join(at::Device device) {
    const auto devices = gather_text(
        *others_, Communicator::is_supported() ? Communicator::device_identity(device) : "");
    std::map<std::string, size_t> holder;
    for (size_t i = 0; i < devices.size(); ++i) {
      if (devices[i].empty()) return "LibTorch of process " + std::to_string(i) + " has none.";
      const auto [place, is_new] = holder.emplace(devices[i], i);
      if (!is_new)
        return "processes " + std::to_string(place->second) + " and " + std::to_string(i) +
               " are on one device.";
    }
    std::string identity, failure;
    const auto attempt = [&](const auto& work) {
      try {
        work();
      } catch (const std::exception& error) {
        const std::string why = error.what();
        failure = why.substr(0, why.find('\n'));
      }
    };
    if (leads()) attempt([&] { identity = Communicator::make_identity(); });
    identity = share_text(*others_, identity, 0);
    attempt([&] {
      communicator_ = std::make_unique<Communicator>(
          identity, Communicator::Place{rank(), size(), device}, options_.patience);
    });
    return first_failure(failure);
  }

  std::string first_failure(const std::string& own) {
    const auto failures = gather_text(*others_, own);
    for (size_t i = 0; i < failures.size(); ++i) {
      if (failures[i].empty()) continue;
      communicator_.reset();
      return "process " + std::to_string(i) + ": " + failures[i];
    }
    return {};
  }

  template <typename Collective>
  void from_device(at::Tensor& numbers, const Collective& collective) {
    at::Tensor ours = numbers.detach().contiguous();
    try {
      collective(ours);
    } catch (const std::exception& error) {
      report_lost_process(*this, error.what());
    }
    if (!ours.is_alias_of(numbers)) numbers.copy_(ours);
  }

  std::unique_ptr<Processes> others_;
  NcclOptions options_;
  std::unique_ptr<Communicator> communicator_;
  std::string obstacle_;
};

}  // namespace

std::unique_ptr<Processes> with_nccl(std::unique_ptr<Processes> others, NcclOptions options) {
  return std::make_unique<NcclProcesses>(std::move(others), options);
}

}  // namespace laconic
