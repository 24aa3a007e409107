#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "laconic/processes/meeting_point.h"

namespace laconic {

/// The processes of one job. All of them call the same functions in the same order, with tensors
/// of the same shape and dtype, and get the same results bit for bit.
/// @throws c10::Error from every function when another process has stopped or cannot be reached.
class Processes {
 public:
  virtual ~Processes() = default;
  virtual int64_t rank() const = 0;  ///< of this one, from 0
  virtual int64_t size() const = 0;
  bool leads() const { return rank() == 0; }

  /// In place: the sum over all.
  virtual void sum(at::Tensor& numbers) = 0;
  /// In place: what process `from` has.
  virtual void broadcast(at::Tensor& numbers, int64_t from) = 0;
  /// Of every process its own, by rank.
  virtual std::vector<at::Tensor> gather(const at::Tensor& numbers) = 0;
  /// What the user should know of the way that numbers took.
  virtual std::vector<std::string> notes() const { return {}; }
};

/// Waits for the others, up to a quarter of an hour. Numbers go over Gloo; in builds with
/// LACONIC_CUDA those of CUDA devices go over NCCL (cuda/nccl.h).
/// @throws c10::Error naming the address when they do not come.
std::unique_ptr<Processes> meet(const MeetingPoint& point);

/// Of every process its own text, of any length, by rank.
std::vector<std::string> gather_text(Processes& processes, const std::string& text);
/// Of every process its own numbers, a vector of any length, all of one dtype.
std::vector<at::Tensor> gather_any(Processes& processes, const at::Tensor& numbers);
/// The text of process `from`.
std::string share_text(Processes& processes, const std::string& text, int64_t from);
/// The tensors of process `from`, some of them undefined: `tensors` of the others counts not, not
/// even in number. They come on `device`.
std::vector<at::Tensor> share_tensors(Processes& processes, const std::vector<at::Tensor>& tensors,
                                      int64_t from, at::Device device = at::kCPU);

/// Which of `count` things belong to one process: runs of almost the same length, in order.
struct Share {
  int64_t begin = 0, end = 0;
  int64_t count() const { return end - begin; }
  bool holds(int64_t i) const { return i >= begin && i < end; }
  bool operator==(const Share&) const = default;
};
Share share_of(int64_t count, int64_t rank, int64_t size);

}  // namespace laconic
