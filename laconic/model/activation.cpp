#include "laconic/model/activation.h"

#include <ATen/ops/gelu.h>
#include <ATen/ops/leaky_relu.h>
#include <ATen/ops/mish.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/relu6.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/square.h>
#include <ATen/ops/tanh.h>

#include <vector>

#include "laconic/base/text.h"

namespace laconic::model {
namespace {

at::Tensor gelu(const at::Tensor& x) { return at::gelu(x, "none"); }
at::Tensor tanh_gelu(const at::Tensor& x) { return at::gelu(x, "tanh"); }
at::Tensor sigmoid_gelu(const at::Tensor& x) { return x * at::sigmoid(x * 1.702); }
at::Tensor silu(const at::Tensor& x) { return at::silu(x); }
at::Tensor relu(const at::Tensor& x) { return at::relu(x); }

struct Row {
  const char* name;
  Activation function;
};

constexpr Row kActivations[] = {
    {"silu", silu},
    {"swish", silu},
    {"gelu", gelu},
    {"gelu_python", gelu},
    {"gelu_new", tanh_gelu},
    {"gelu_fast", tanh_gelu},
    {"gelu_pytorch_tanh", tanh_gelu},
    {"gelu_python_tanh", tanh_gelu},
    {"gelu_accurate", tanh_gelu},
    {"quick_gelu", sigmoid_gelu},
    {"relu", relu},
    {"relu2", [](const at::Tensor& x) { return at::square(at::relu(x)); }},
    {"relu6", [](const at::Tensor& x) { return at::relu6(x); }},
    {"leaky_relu", [](const at::Tensor& x) { return at::leaky_relu(x); }},
    {"mish", [](const at::Tensor& x) { return at::mish(x); }},
    {"sigmoid", [](const at::Tensor& x) { return at::sigmoid(x); }},
    {"tanh", [](const at::Tensor& x) { return at::tanh(x); }},
    {"linear", [](const at::Tensor& x) { return x; }},
};

}  // namespace

Activation read_activation(const Config& config, const std::string& key) {
  const std::string name = config.text(key);
  std::vector<std::string> known;
  for (const Row& row : kActivations) {
    if (name == row.name) return row.function;
    known.emplace_back(row.name);
  }
  config.fail(key, "one of {" + join(known, ", ") + "}");
}

}  // namespace laconic::model
