#include "laconic/processes/cuda/communicator.h"

#include <ATen/ops/ones.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <nccl.h>

#include <cstring>
#include <map>
#include <optional>
#include <thread>

namespace laconic {

/// The functions of the NCCL that LibTorch has loaded. They are looked up by name when the program
/// runs: a LibTorch that holds NCCL within itself has no library to link with.
struct NcclLibrary {
  decltype(&ncclGetUniqueId) get_unique_id;
  decltype(&ncclCommInitRankConfig) init;
  decltype(&ncclCommGetAsyncError) get_state;
  decltype(&ncclCommFinalize) finalize;
  decltype(&ncclCommDestroy) destroy;
  decltype(&ncclCommAbort) abort;
  decltype(&ncclAllReduce) all_reduce;
  decltype(&ncclBroadcast) broadcast;
  decltype(&ncclGetErrorString) describe;

  /// Null when one of them is not there.
  static const NcclLibrary* find();
};

namespace {

template <typename Function>
bool look_up(const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
  return function != nullptr;
}

std::optional<NcclLibrary> load() {
  NcclLibrary library{};
  const bool is_whole =
      look_up("ncclGetUniqueId", library.get_unique_id) &&
      look_up("ncclCommInitRankConfig", library.init) &&
      look_up("ncclCommGetAsyncError", library.get_state) &&
      look_up("ncclCommFinalize", library.finalize) &&
      look_up("ncclCommDestroy", library.destroy) && look_up("ncclCommAbort", library.abort) &&
      look_up("ncclAllReduce", library.all_reduce) && look_up("ncclBroadcast", library.broadcast) &&
      look_up("ncclGetErrorString", library.describe);
  return is_whole ? std::optional(library) : std::nullopt;
}

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kLeaving{5};

const NcclLibrary& library() {
  const NcclLibrary* found = NcclLibrary::find();
  TORCH_CHECK_NOT_IMPLEMENTED(found != nullptr, "[processes] LibTorch has loaded no NCCL.");
  return *found;
}

void check(const NcclLibrary& library, ncclResult_t result) {
  TORCH_CHECK(result == ncclSuccess || result == ncclInProgress,
              "NCCL: ", library.describe(result));
}

void pause(Clock::time_point end) {
  TORCH_CHECK(Clock::now() < end, "NCCL: no answer in time");
  std::this_thread::sleep_for(std::chrono::microseconds(20));
}

const std::map<at::ScalarType, ncclDataType_t>& number_types() {
  static const std::map<at::ScalarType, ncclDataType_t> types = {
      {at::kFloat, ncclFloat32},     {at::kDouble, ncclFloat64}, {at::kHalf, ncclFloat16},
      {at::kBFloat16, ncclBfloat16}, {at::kLong, ncclInt64},     {at::kInt, ncclInt32}};
  return types;
}

}  // namespace

const NcclLibrary* NcclLibrary::find() {
  static const std::optional<NcclLibrary> library = load();
  return library ? &*library : nullptr;
}

bool Communicator::is_supported() { return NcclLibrary::find() != nullptr; }

bool Communicator::can_sum(at::ScalarType type) { return number_types().contains(type); }

void Communicator::catch_up(at::Device device) {
  c10::cuda::getCurrentCUDAStream(device.index()).synchronize();
}

std::string Communicator::make_identity() {
  ncclUniqueId identity;
  check(library(), library().get_unique_id(&identity));
  return {identity.internal, sizeof identity.internal};
}

std::string Communicator::device_identity(at::Device device) {
  cudaDeviceProp properties{};
  C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, device.index()));
  return {properties.uuid.bytes, sizeof properties.uuid.bytes};
}

Communicator::Communicator(const std::string& identity, const Place& place,
                           std::chrono::seconds patience)
    : library_(library()), place_(place), patience_(patience) {
  try {
    join(identity);
  } catch (...) {
    leave();
    throw;
  }
}

Communicator::~Communicator() { leave(); }

void Communicator::join(const std::string& identity) {
  ncclUniqueId shared;
  TORCH_CHECK_VALUE(identity.size() == sizeof shared.internal, "NCCL: expected an identity of ",
                    sizeof shared.internal, " bytes, got ", identity.size());
  std::memcpy(shared.internal, identity.data(), identity.size());
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;  // what waits for a process that died is ended from here
  const c10::cuda::CUDAGuard guard(place_.device);
  const auto state = library_.init(&handle_, static_cast<int>(place_.size), shared,
                                   static_cast<int>(place_.rank), &config);
  settle(state, Clock::now() + patience_);
  is_broken_ = false;
  // NCCL looks for a way to the others only now.
  at::Tensor one = at::ones({1}, at::TensorOptions(at::kFloat).device(place_.device));
  sum(one);
}

/// Until NCCL has taken what it was asked for; `state` is what it answered.
void Communicator::settle(int state, Time end) const {
  auto now = static_cast<ncclResult_t>(state);
  check(library_, now);
  while (now == ncclInProgress) {
    pause(end);
    check(library_, library_.get_state(handle_, &now));
    check(library_, now);
  }
}

void Communicator::run(const at::Tensor& numbers, const Start& start) {
  const Clock::time_point end =
      Clock::now() + patience_ + std::chrono::seconds(numbers.nbytes() >> 24);
  const c10::cuda::CUDAGuard guard(place_.device);
  const auto stream = c10::cuda::getCurrentCUDAStream(place_.device.index());
  is_broken_ = true;
  settle(start(stream.stream()), end);
  while (!stream.query()) {
    ncclResult_t state = ncclSuccess;
    check(library_, library_.get_state(handle_, &state));
    check(library_, state);
    pause(end);
  }
  is_broken_ = false;
}

void Communicator::sum(at::Tensor& numbers) {
  void* const data = numbers.mutable_data_ptr();
  const auto count = static_cast<size_t>(numbers.numel());
  const ncclDataType_t type = number_types().at(numbers.scalar_type());
  run(numbers, [&](cudaStream_t stream) {
    return library_.all_reduce(data, data, count, type, ncclSum, handle_, stream);
  });
}

void Communicator::broadcast(at::Tensor& numbers, int64_t from) {
  void* const data = numbers.mutable_data_ptr();
  run(numbers, [&](cudaStream_t stream) {
    return library_.broadcast(data, data, numbers.nbytes(), ncclInt8, static_cast<int>(from),
                              handle_, stream);
  });
}

/// Together where all are well: the others may still read what NCCL holds here.
void Communicator::leave() noexcept {
  if (handle_ == nullptr) return;
  bool is_parted = false;
  if (!is_broken_) try {
      const c10::cuda::CUDAGuard guard(place_.device);
      settle(library_.finalize(handle_), Clock::now() + kLeaving);
      is_parted = true;
    } catch (const std::exception&) {
      // Somebody is gone, and reads nothing.
    }
  is_parted ? library_.destroy(handle_) : library_.abort(handle_);
  handle_ = nullptr;
}

}  // namespace laconic
