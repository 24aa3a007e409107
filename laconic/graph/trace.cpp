#include "laconic/graph/trace.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>
#include <torch/nn/module.h>

#include <memory>

#include "laconic/graph/fuse_linear.h"
#include "laconic/graph/merge.h"
#include "laconic/graph/operators.h"
#include "laconic/graph/tracer.h"

namespace laconic::graph {
namespace {

constexpr auto kKey = c10::DispatchKey::TESTING_ONLY_GenericMode;

thread_local Tracer* active = nullptr;

void record(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const c10::impl::ExcludeDispatchKeyGuard guard(kKey);
  if (active == nullptr)
    op.callBoxed(stack);
  else
    active->call(op, stack);
}

void register_tracer() {
  static const torch::Library* const library = [] {
    auto made =
        std::make_unique<torch::Library>(torch::Library::IMPL, "_", kKey, __FILE__, __LINE__);
    made->fallback(torch::CppFunction::makeFromBoxedFunction<&record>());
    return made.release();
  }();
  (void)library;
}

/// Hands the calls of this thread to a tracer.
class Activation {
 public:
  explicit Activation(Tracer* tracer) { active = tracer; }
  ~Activation() { active = nullptr; }
  Activation(const Activation&) = delete;
  Activation& operator=(const Activation&) = delete;
};

at::Device device_of(const torch::nn::Module& module) {
  const auto parameters = module.parameters();
  return parameters.empty() ? at::Device(at::kCPU) : parameters.front().device();
}

// Distinct primes, unlikely as sizes of layers.
constexpr InputShape kFirst{3, 11}, kSecond{5, 13};

}  // namespace

ModuleScope::ModuleScope(const torch::nn::Module& module) {
  if (active != nullptr) active->enter(&module);
}

ModuleScope::~ModuleScope() {
  if (active != nullptr) active->leave();
}

Graph trace(const torch::nn::Module& module,
            const std::function<at::Tensor(const at::Tensor&)>& forward,
            const TraceOptions& options) {
  TORCH_CHECK_VALUE(active == nullptr,
                    "[trace] a trace is under way in this thread: expected one at a time.");
  register_operators();
  register_tracer();
  const auto once = [&](InputShape shape) {
    const auto input =
        options.example ? options.example(shape.batch, shape.length)
                        : at::zeros({shape.batch, shape.length},
                                    at::TensorOptions().dtype(at::kLong).device(device_of(module)));
    Tracer tracer(module, options);
    const c10::NoGradGuard no_grad;
    const c10::impl::IncludeDispatchKeyGuard watch(kKey);
    const Activation activation(&tracer);
    return tracer.run(forward, input);
  };
  Graph graph = fuse_linear(merge_traces(once(kFirst), kFirst, once(kSecond), kSecond));
  graph.check();
  return graph;
}

}  // namespace laconic::graph
