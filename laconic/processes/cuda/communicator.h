#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <functional>
#include <string>

struct ncclComm;
struct CUstream_st;

namespace laconic {

struct NcclLibrary;

/// The devices of several processes, each on its own, joined by NCCL. Every function waits until
/// the device is done, for no longer than `patience` and a second for every 16 MiB: all of them are
/// called by all processes at about the same time.
/// @throws c10::Error from every function when NCCL says so or another process does not come; after
/// that the communicator is of no use.
class Communicator {
 public:
  /// What all that will be joined are told by one of them.
  static std::string make_identity();
  /// A text that no other device has.
  static std::string device_identity(at::Device device);
  static bool is_supported();  ///< whether LibTorch has loaded NCCL
  /// Waits for what the device has been told to do.
  static void catch_up(at::Device device);
  /// Whether `sum` knows these numbers.
  static bool can_sum(at::ScalarType type);

  struct Place {
    int64_t rank = 0, size = 1;
    at::Device device = at::Device(at::kCUDA, 0);
  };
  Communicator(const std::string& identity, const Place& place, std::chrono::seconds patience);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  at::Device device() const { return place_.device; }
  /// In place, of contiguous tensors on the device. The same bits on each: NCCL forms the sum of an
  /// element in one place and sends it to the others, by rings, trees and switches alike.
  void sum(at::Tensor& numbers);
  void broadcast(at::Tensor& numbers, int64_t from);

 private:
  using Time = std::chrono::steady_clock::time_point;
  using Start = std::function<int(CUstream_st* stream)>;
  void join(const std::string& identity);
  void run(const at::Tensor& numbers, const Start& start);
  void settle(int state, Time end) const;
  void leave() noexcept;

  const NcclLibrary& library_;
  Place place_;
  std::chrono::seconds patience_;
  ncclComm* handle_ = nullptr;
  bool is_broken_ = true;  ///< its end waits for nobody
};

}  // namespace laconic
