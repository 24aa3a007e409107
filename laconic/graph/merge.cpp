#include "laconic/graph/merge.h"

#include <optional>
#include <sstream>

namespace laconic::graph {
namespace {

int64_t power(int64_t base, int32_t exponent) {
  int64_t result = 1;
  for (int32_t i = 0; i < exponent; ++i) result *= base;
  return result;
}

class Merger {
 public:
  Merger(const Graph& first, InputShape first_shape, const Graph& second, InputShape second_shape)
      : first_(first), second_(second), a_(first_shape), b_(second_shape) {}

  Graph run() {
    const NodeId common = std::min(first_.size(), second_.size());
    Graph result = first_;
    for (id_ = 0; id_ < common; ++id_) {
      const Node& x = first_.nodes[id_];
      const Node& y = second_.nodes[id_];
      const bool same = x.kind == y.kind && x.target == y.target && x.module == y.module &&
                        x.arguments.size() == y.arguments.size();
      TORCH_CHECK_VALUE(same, where(), "other operators for another shape: ", describe(first_, id_),
                        " for ", shape(a_), ", ", describe(second_, id_), " for ", shape(b_), ". ",
                        kMend);
      for (size_t i = 0; i < x.arguments.size(); ++i)
        result.nodes[id_].arguments[i] = merge(x.arguments[i], y.arguments[i]);
    }
    id_ = common - 1;
    TORCH_CHECK_VALUE(first_.size() == second_.size(), where(), first_.size(), " operators for ",
                      shape(a_), ", ", second_.size(), " for ", shape(b_), ". ", kMend);
    return result;
  }

 private:
  static constexpr const char* kMend = "Write the module so that it does not ask for the shape.";

  std::string where() const {
    const std::string& module = id_ >= 0 ? first_.nodes[id_].module : std::string();
    return "[trace] module \"" + module + "\": ";
  }
  static std::string shape(InputShape s) {
    return "[" + std::to_string(s.batch) + ", " + std::to_string(s.length) + "]";
  }

  std::optional<Size> size_of(int64_t x, int64_t y) const {
    for (int32_t sum = 1; sum <= 4; ++sum)
      for (int32_t i = std::max(0, sum - 2); i <= std::min(2, sum); ++i) {
        const int64_t p = power(a_.batch, i) * power(a_.length, sum - i);
        const int64_t q = power(b_.batch, i) * power(b_.length, sum - i);
        if (x % p == 0 && y % q == 0 && x / p == y / q) return Size{x / p, i, sum - i};
      }
    return std::nullopt;
  }

  Argument merge_int(int64_t x, int64_t y) const {
    if (x == y) return c10::IValue(x);
    const auto size = size_of(x, y);
    TORCH_CHECK_VALUE(size, where(), "a constant of ", first_.nodes[id_].target,
                      " depends on the shape: ", x, " for ", shape(a_), ", ", y, " for ", shape(b_),
                      "; expected factor * batch^i * length^j. ", kMend);
    return *size;
  }

  Argument merge_tensor(const at::Tensor& x, const at::Tensor& y) const {
    const bool same =
        x.defined() == y.defined() && (!x.defined() || (x.dtype() == y.dtype() && x.equal(y)));
    TORCH_CHECK_VALUE(same, where(), "a tensor made in forward for ", first_.nodes[id_].target,
                      " depends on the shape: expected the same numbers for ", shape(a_), " and ",
                      shape(b_), ". Compute it from the input, or with zeros, full, arange.");
    return c10::IValue(x);
  }

  Argument merge_constant(const c10::IValue& x, const c10::IValue& y) const {
    if (x.isInt() && y.isInt()) return merge_int(x.toInt(), y.toInt());
    if (x.isIntList() && y.isIntList() && x.toIntVector() != y.toIntVector()) {
      const auto p = x.toIntVector(), q = y.toIntVector();
      TORCH_CHECK_VALUE(p.size() == q.size(), where(), "a list of ", first_.nodes[id_].target,
                        " has another length for another shape. ", kMend);
      ArgumentList list;
      for (size_t i = 0; i < p.size(); ++i) list.push_back(merge_int(p[i], q[i]));
      return list;
    }
    if (x.isTensor() && y.isTensor()) return merge_tensor(x.toTensor(), y.toTensor());
    std::ostringstream p, q;  // IValue's == compares some kinds by identity
    p << x, q << y;
    TORCH_CHECK_VALUE(p.str() == q.str(), where(), "a constant of ", first_.nodes[id_].target,
                      " depends on the shape: ", p.str(), " for ", shape(a_), ", ", q.str(),
                      " for ", shape(b_), ". ", kMend);
    return x;
  }

  Argument merge(const Argument& x, const Argument& y) const {
    const auto *p = std::get_if<c10::IValue>(&x.data), *q = std::get_if<c10::IValue>(&y.data);
    if (p != nullptr && q != nullptr) return merge_constant(*p, *q);
    const auto *s = std::get_if<ArgumentList>(&x.data), *t = std::get_if<ArgumentList>(&y.data);
    if (s != nullptr && t != nullptr && s->size() == t->size()) {
      ArgumentList list;
      for (size_t i = 0; i < s->size(); ++i) list.push_back(merge((*s)[i], (*t)[i]));
      return list;
    }
    const auto *v = std::get_if<Value>(&x.data), *w = std::get_if<Value>(&y.data);
    TORCH_CHECK_VALUE(v != nullptr && w != nullptr && *v == *w, where(), "the arguments of ",
                      first_.nodes[id_].target, " come from other nodes for another shape. ",
                      kMend);
    return x;
  }

  const Graph &first_, &second_;
  InputShape a_, b_;
  NodeId id_ = 0;
};

}  // namespace

Graph merge_traces(const Graph& first, InputShape first_shape, const Graph& second,
                   InputShape second_shape) {
  return Merger(first, first_shape, second, second_shape).run();
}

}  // namespace laconic::graph
