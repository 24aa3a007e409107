#include "laconic/load/huggingface/huggingface.h"

#include <cstring>
#include <set>

#include "laconic/base/text.h"

namespace laconic {
namespace {

constexpr const char* kHeads[] = {"lm_head.weight", "embed_out.weight"};

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

/// From the module's names to the names of the files.
class Naming {
 public:
  Naming(const model::Architecture& architecture, const StoredTensors& stored)
      : prefix_(architecture.prefix) {
    for (const auto& [name, unused] : stored.tensors)
      strips_ = strips_ && !name.starts_with(prefix_);
    for (const char* head : kHeads)
      if (stored.tensors.contains(head))
        head_ = std::string(head).substr(0, std::string(head).rfind('.'));
  }

  void replace(const std::string& name, const std::string& by) { replaced_[name] = by; }

  std::string operator()(const std::string& name) const {
    if (const auto found = replaced_.find(name); found != replaced_.end()) return found->second;
    for (const std::string head : {"lm_head", "embed_out"})
      if (!head_.empty() && (name == head || name == head + ".weight"))
        return head_ + name.substr(head.size());
    if (strips_ && name.starts_with(prefix_)) return name.substr(prefix_.size());
    if (strips_ && name + "." == prefix_) return "";
    return name;
  }

 private:
  std::string prefix_, head_;
  bool strips_ = true;
  std::map<std::string, std::string> replaced_;
};

std::string stored_head(const StoredTensors& stored) {
  for (const char* head : kHeads)
    if (stored.tensors.contains(head)) return head;
  return "";
}

bool has_own_head(const model::Network& network) {
  for (const auto& parameter : network.parameters())
    for (const char* head : kHeads)
      if (parameter.name == head) return true;
  return false;
}

void check_parameter(const StoredTensors& stored, const std::string& name,
                     const std::vector<int64_t>& shape) {
  const auto found = stored.tensors.find(name);
  TORCH_CHECK_VALUE(found != stored.tensors.end(), "[", stored.where, "] tensor \"", name,
                    "\" is missing: expected ", shape_text(shape),
                    " as config.json says. The checkpoint is incomplete or config.json is of ",
                    "another model.");
  const StoredTensor& tensor = found->second;
  TORCH_CHECK_VALUE(tensor.shape == shape, "[", stored.where, "] tensor \"", name,
                    "\": expected shape ", shape_text(shape), " as config.json says, got ",
                    shape_text(tensor.shape),
                    ". config.json and checkpoint are of different models.");
  const bool is_float = tensor.dtype == at::kFloat || tensor.dtype == at::kHalf ||
                        tensor.dtype == at::kBFloat16 || tensor.dtype == at::kDouble;
  TORCH_CHECK_VALUE(is_float, "[", stored.where, "] tensor \"", name,
                    "\": expected F32, F16, BF16 or F64, got dtype ", c10::toString(tensor.dtype),
                    ". Give the model before it was quantized.");
}

void check_unexpected(const StoredTensors& stored, const std::set<std::string>& expected,
                      const char* ignored) {
  std::vector<std::string> unexpected;
  for (const auto& [name, unused] : stored.tensors)
    if (!expected.contains(name) && !matches_pattern(name, ignored)) unexpected.push_back(name);
  if (unexpected.empty()) return;
  const size_t count = unexpected.size();
  if (count > 3) unexpected.resize(3);
  TORCH_CHECK_VALUE(
      false, "[", stored.where, "] ", count, " tensors have no place in the model: \"",
      join(unexpected, "\", \""), count > 3 ? "\", ...: " : "\": ", "expected none beside the ",
      expected.size(),
      " that config.json asks for. config.json and checkpoint are of different models.");
}

}  // namespace

StoredTensors stored_tensors(const std::filesystem::path& directory, const Checkpoint& checkpoint) {
  StoredTensors stored{directory.string(), {}, {}};
  for (const std::string& name : checkpoint.names()) {
    const SafetensorsEntry& entry = checkpoint.entry(name);
    stored.tensors.emplace(name, StoredTensor{name, entry.dtype, entry.shape});
  }
  stored.equal = [&checkpoint](const std::string& first, const std::string& second) {
    const auto a = checkpoint.tensor(first), b = checkpoint.tensor(second);
    const bool same = a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() &&
                      std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
    checkpoint.drop(first), checkpoint.drop(second);
    return same;
  };
  return stored;
}

TracedModel trace_model(const model::Config& config, const model::Architecture& architecture,
                        const StoredTensors& stored) {
  model::Network network(config, architecture);
  Naming naming(architecture, stored);
  std::set<std::string> expected;
  const std::string head = stored_head(stored);
  if (!has_own_head(network) && !head.empty()) {
    const std::string own = network.parameters().front().name, embedding = naming(own);
    if (!stored.tensors.contains(embedding)) {
      naming.replace(own, head);
    } else if (stored.equal(embedding, head)) {
      expected.insert(head);
    } else {
      nlohmann::json untied = config.json();
      untied["tie_word_embeddings"] = false;
      network = model::Network(model::Config(std::move(untied), config.where()), architecture);
    }
  }
  for (const auto& parameter : network.parameters()) {
    check_parameter(stored, naming(parameter.name), parameter.shape);
    expected.insert(naming(parameter.name));
  }
  check_unexpected(stored, expected, architecture.ignored);
  return {network.graph(naming), network.vocabulary_size(), network.maximum_length()};
}

}  // namespace laconic
