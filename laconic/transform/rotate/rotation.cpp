#include "laconic/transform/rotate/rotation.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <c10/util/Exception.h>

#include "laconic/kernel/hadamard.h"

namespace laconic::transform {
namespace {

at::Tensor random_orthogonal(int64_t size, const at::Generator& generator) {
  const auto gaussian = at::randn({size, size}, generator, at::TensorOptions().dtype(at::kDouble));
  const auto [q, r] = at::linalg_qr(gaussian);
  // With the signs of R's diagonal the distribution is uniform.
  return (q * r.diagonal().sign()).to(at::kFloat);
}

}  // namespace

at::Tensor Rotation::apply(const at::Tensor& x) const {
  if (dense.defined())
    return at::matmul(x.unflatten(-1, {-1, size}), dense.to(x.scalar_type())).flatten(-2);
  const auto signed_x = signs.defined() ? (x.unflatten(-1, {-1, size}) * signs).flatten(-2) : x;
  return kernel::hadamard(signed_x, size);
}

Rotation make_rotation(const std::string& kind, int64_t size, uint64_t seed, std::string* note) {
  const auto generator = at::detail::createCPUGenerator(seed);
  const bool is_reached = kernel::hadamard_order(size).has_value();
  if (kind == "orthogonal" || !is_reached) {
    if (kind != "orthogonal" && note != nullptr)
      *note = "no Hadamard matrix of order " + std::to_string(size) +
              " is known here: a random orthogonal one in its place.";
    return {size, {}, random_orthogonal(size, generator)};
  }
  if (kind == "hadamard") return {size, {}, {}};
  TORCH_CHECK_VALUE(kind == "random_hadamard", "[rotation] unknown kind \"", kind, "\".");
  const auto bits = at::randint(2, {size}, generator, at::TensorOptions().dtype(at::kFloat));
  return {size, bits * 2 - 1, {}};
}

at::Tensor rotated(const at::Tensor& stored, const Site& site, const Rotation& rotation) {
  const auto last = stored.movedim(site.part.dim, -1);
  if (!site.index.defined())
    return rotation.apply(last.contiguous()).movedim(-1, site.part.dim).contiguous();
  const auto index = site.index.flatten().to(stored.device());
  auto result = last.clone();
  result.index_copy_(-1, index, rotation.apply(last.index_select(-1, index)));
  return result.movedim(-1, site.part.dim).contiguous();
}

void rotate_sites(FloatNetwork& network, const std::vector<Site>& sites, const Rotation& rotation) {
  std::map<std::string, std::vector<Site>> by_parameter;
  for (const Site& site : sites) by_parameter[site.part.parameter].push_back(site);
  Changes changes;
  for (const auto& [name, own] : by_parameter) {
    changes[name] = {{name},
                     [name = name, own = own, rotation](const graph::Parameters& below) {
                       auto tensor = below.get(name);
                       for (const Site& site : own) tensor = rotated(tensor, site, rotation);
                       return tensor;
                     },
                     network.parameters->describe(name)};
  }
  change_parameters(network, std::move(changes));
}

}  // namespace laconic::transform
