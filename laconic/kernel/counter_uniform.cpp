#include "laconic/kernel/counter_uniform.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <type_traits>

#include "laconic/kernel/parallel.h"
#include "laconic/kernel/philox.h"

namespace laconic::kernel {
namespace {

constexpr int64_t kGrain = 4096;  // blocks of a thread's least work

std::array<uint32_t, 4> words(const RandomStream& stream, int64_t block) {
  const auto halves = [](int64_t value) {
    const auto bits = static_cast<uint64_t>(value);
    return std::array<uint32_t, 2>{static_cast<uint32_t>(bits), static_cast<uint32_t>(bits >> 32)};
  };
  const auto place = halves(block), draw = halves(stream.draw);
  return philox({place[0], place[1], draw[0], draw[1]}, halves(stream.seed));
}

// Four floats of 24 bits, or two doubles of 53.
std::array<float, 4> numbers_of(const std::array<uint32_t, 4>& words, float) {
  std::array<float, 4> result{};
  std::transform(words.begin(), words.end(), result.begin(),
                 [](uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24F; });
  return result;
}
std::array<double, 2> numbers_of(const std::array<uint32_t, 4>& words, double) {
  const auto number = [](uint64_t high, uint64_t low) {
    return static_cast<double>((high << 32 | low) >> 11) * 0x1p-53;
  };
  return {number(words[0], words[1]), number(words[2], words[3])};
}

template <typename Real>
void fill(const RandomStream& stream, Real* out, int64_t count) {
  constexpr int64_t kLanes = std::is_same_v<Real, double> ? 2 : 4;
  parallel_for(0, (count + kLanes - 1) / kLanes, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const auto numbers = numbers_of(words(stream, block), Real{});
      const int64_t first = block * kLanes, lanes = std::min(kLanes, count - first);
      std::copy_n(numbers.begin(), lanes, out + first);
    }
  });
}

}  // namespace

at::Tensor counter_uniform(const RandomStream& stream, const at::Tensor& like) {
  const bool is_double = like.scalar_type() == c10::ScalarType::Double;
  const auto dtype = is_double ? c10::ScalarType::Double : c10::ScalarType::Float;
  const at::Tensor result = at::empty(like.sizes(), at::TensorOptions().dtype(dtype));
  if (is_double) {
    fill(stream, result.data_ptr<double>(), result.numel());
  } else {
    fill(stream, result.data_ptr<float>(), result.numel());
  }
  return result.to(like.device());
}

}  // namespace laconic::kernel
