// quantizers_bench ROWS COLUMNS THREADS float32|bfloat16 [cpu|cuda]: the library's side of
// quantizers.py and searches.py. Each line of standard input is a quantizer in YAML ({...}); one
// JSON line answers it: milliseconds of one call, on CUDA of one of ten that are waited for
// together. The elements are normal with a deviation of 0.02, as those of weights. After the word
// "small": of a small tensor; after "composed": by the plain formula.
#include <ATen/Parallel.h>
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/randn.h>

#include <chrono>
#include <cstring>
#include <iostream>
#include <string>

#include "laconic/kernel/parallel.h"
#include "laconic/quant/quantizer/deferred_checks.h"
#include "laconic/quant/quantizer/quantize.h"
#include "laconic/quant/quantizer/range.h"
#include "laconic/quant/quantizer/yaml.h"

namespace laconic {
namespace {

void wait_for(const at::Tensor& x) {
  if (x.is_cuda()) at::detail::getCUDAHooks().deviceSynchronize(x.device().index());
}

/// Of one call on the device of `x`; with `deferred` the calls share one check of their numbers.
template <typename Function>
double milliseconds(const at::Tensor& x, const Function& function, bool deferred = false) {
  const int calls = x.is_cuda() ? 10 : 1;
  const auto all = [&] {
    for (int i = 0; i < calls; ++i) function();
  };
  wait_for(x);
  const auto begin = std::chrono::steady_clock::now();
  deferred ? with_deferred_checks(all) : all();
  wait_for(x);
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
             .count() /
         calls;
}

/// memcpy by all threads, or a copy on the device: what memory can do.
void copy(const at::Tensor& from, const at::Tensor& to) {
  if (from.is_cuda()) {
    to.copy_(from);
    return;
  }
  const auto* source = static_cast<const char*>(from.const_data_ptr());
  auto* target = static_cast<char*>(to.mutable_data_ptr());
  kernel::parallel_for(0, static_cast<int64_t>(from.nbytes()), 1 << 16, [&](int64_t a, int64_t b) {
    std::memcpy(target + a, source + a, static_cast<size_t>(b - a));
  });
}

void answer(const QuantSpec& spec, const at::Tensor& x, const at::Tensor& value) {
  const double copied = milliseconds(x, [&] { copy(x, value); });
  const auto give = [&] { fake_quantize_dynamic_out(spec, x, value); };
  const double given = milliseconds(x, give), deferred = milliseconds(x, give, true);
  at::Tensor fresh;
  const double allocated = milliseconds(x, [&] { fresh = fake_quantize_dynamic(spec, x); });
  fresh.reset();
  const at::Tensor weight = x.detach().clone().set_requires_grad(true);
  const auto train = [&] {
    weight.mutable_grad().reset();
    const at::Tensor quantized = fake_quantize_dynamic(spec, weight);
    quantized.backward(x);
  };
  const double both = milliseconds(x, train), both_deferred = milliseconds(x, train, true);
  std::cout << "{\"memcpy\": " << copied << ", \"given\": " << given
            << ", \"deferred\": " << deferred << ", \"allocated\": " << allocated
            << ", \"backward\": " << both << ", \"backward_deferred\": " << both_deferred << "}"
            << std::endl;
}

/// The same by the plain formula, which is what the fused loops are measured against where the
/// package has no such quantizer.
void answer_composed(const QuantSpec& spec, const at::Tensor& x) {
  const auto quantize = [&](const at::Tensor& weight) {
    const auto shape = scale_shape(weight.sizes(), spec.granularity);
    const at::Tensor real = weight.to(c10::ScalarType::Float);
    return fake_quantize_composed(spec, weight,
                                  parameters_of_range(spec, find_range(spec, real), shape));
  };
  const double forward = milliseconds(x, [&] { quantize(x); });
  const at::Tensor weight = x.detach().clone().set_requires_grad(true);
  const double both = milliseconds(x, [&] {
    weight.mutable_grad().reset();
    quantize(weight).backward(x);
  });
  std::cout << "{\"peer\": " << forward << ", \"peer_backward\": " << both << "}" << std::endl;
}

/// Microseconds of a call on a small tensor, its result allocated.
void answer_small(const QuantSpec& spec, const at::Tensor& beside) {
  const at::Tensor small = at::randn({32, 128}).to(beside.device());  // in which groups fit
  constexpr int kCalls = 1000;
  const double all = milliseconds(small, [&] {
    for (int i = 0; i < kCalls; ++i) fake_quantize_dynamic(spec, small);
  });
  std::cout << "{\"microseconds\": " << all * 1e3 / kCalls << "}" << std::endl;
}

}  // namespace
}  // namespace laconic

int main(int argc, char** argv) {
  if (argc != 5 && argc != 6) {
    std::cerr << "usage: quantizers_bench ROWS COLUMNS THREADS float32|bfloat16 [cpu|cuda]\n";
    return 2;
  }
  at::set_num_threads(std::stoi(argv[3]));
  const bool is_half = std::string(argv[4]) == "bfloat16";
  const at::Device device(argc == 6 ? argv[5] : "cpu");
  const auto options = at::TensorOptions(device);
  const at::Tensor x = at::randn({std::stoll(argv[1]), std::stoll(argv[2])}, options)
                           .mul_(0.02)
                           .to(is_half ? at::ScalarType::BFloat16 : at::ScalarType::Float);
  const at::Tensor value = at::empty_like(x).fill_(0);
  std::string line;
  while (std::getline(std::cin, line)) {
    const auto spec = laconic::quant_spec_from_yaml(line.substr(line.find('{')), "input");
    if (line.rfind("small ", 0) == 0)
      laconic::answer_small(spec, x);
    else if (line.rfind("composed ", 0) == 0)
      laconic::answer_composed(spec, x);
    else
      laconic::answer(spec, x, value);
  }
}
