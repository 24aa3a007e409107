#include "manifest.h"

#include <c10/util/Exception.h>

#include <cmath>

#include "laconic/file/json/json.h"

namespace laconic::golden {
namespace {

using nlohmann::json;

const json& member(const json& object, const char* key, json::value_t type, const std::string& at) {
  TORCH_CHECK_VALUE(object.is_object() && object.contains(key) && object.at(key).type() == type,
                    "[golden] ", at, ": expected a member \"", key, "\" of type ",
                    json(type).type_name(), ". Is the folder whole?");
  return object.at(key);
}

std::string text(const json& object, const char* key, const std::string& at) {
  return member(object, key, json::value_t::string, at).get<std::string>();
}

const json& optional(const json& object, const char* key) {
  static const json kEmpty = json::object();
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? kEmpty : *found;
}

TensorReferences references(const json& object, const char* key, const std::string& at) {
  TensorReferences result;
  const json& tensors = optional(object, key);
  TORCH_CHECK_VALUE(tensors.is_object(), "[golden] ", at, ": ", key, ": expected an object.");
  for (const auto& [role, tensor] : tensors.items()) {
    const std::string where = at + ": " + key + "." + role;
    TensorReference reference{text(tensor, "key", where), {}, text(tensor, "dtype", where)};
    for (const json& size : member(tensor, "shape", json::value_t::array, where)) {
      TORCH_CHECK_VALUE(size.is_number_unsigned(), "[golden] ", where,
                        ": shape: expected whole numbers >= 0, got ", size.dump(), ".");
      reference.shape.push_back(size.get<int64_t>());
    }
    result.emplace(role, std::move(reference));
  }
  return result;
}

Tolerance tolerance(const json& object, const Tolerance& base, const std::string& at) {
  Tolerance result = base;
  TORCH_CHECK_VALUE(object.is_object(), "[golden] ", at, ": tolerance: expected an object.");
  for (auto [key, value] :
       {std::pair{"rtol", &result.rtol}, {"atol", &result.atol}, {"mismatch", &result.mismatch}}) {
    if (!object.contains(key)) continue;
    TORCH_CHECK_VALUE(object.at(key).is_number() && object.at(key).get<double>() >= 0, "[golden] ",
                      at, ": ", key, ": expected a number >= 0, got ", object.at(key).dump(), ".");
    *value = object.at(key).get<double>();
  }
  return result;
}

Case parse_case(const json& object, const Tolerance& base, const std::string& at) {
  Case result;
  result.id = text(object, "id", at);
  const std::string where = at + " (" + result.id + ")";
  result.area = text(object, "area", where);
  result.op = text(object, "op", where);
  result.options = optional(object, "options");
  result.expect = optional(object, "expect");
  TORCH_CHECK_VALUE(result.options.is_object() && result.expect.is_object(), "[golden] ", where,
                    ": expected options and expect to be objects.");
  result.inputs = references(object, "inputs", where);
  result.outputs = references(object, "outputs", where);
  result.grads = references(object, "grads", where);
  for (const json& role : optional(object, "none")) {
    TORCH_CHECK_VALUE(role.is_string(), "[golden] ", where, ": none: expected names.");
    result.none.insert(role.get<std::string>());
  }
  result.tolerance = tolerance(optional(object, "tol"), base, where);
  return result;
}

const char* dtype_word(at::ScalarType dtype) {
  switch (dtype) {
    case at::ScalarType::Float:
      return "float32";
    case at::ScalarType::Double:
      return "float64";
    case at::ScalarType::Byte:
      return "uint8";
    case at::ScalarType::Char:
      return "int8";
    case at::ScalarType::Int:
      return "int32";
    case at::ScalarType::Long:
      return "int64";
    default:
      return "another dtype";
  }
}

}  // namespace

at::Tensor Case::read(const std::string& role, const TensorReference& reference) const {
  TORCH_CHECK_VALUE(file->find(reference.key) != nullptr, role, ": the tensor \"", reference.key,
                    "\" is not in ", file->path().string(), ".");
  const at::Tensor tensor = file->tensor(reference.key);
  TORCH_CHECK_VALUE(tensor.sizes() == at::IntArrayRef(reference.shape) &&
                        dtype_word(tensor.scalar_type()) == reference.dtype,
                    role, ": expected ", reference.dtype, " ", at::IntArrayRef(reference.shape),
                    ", the file holds ", dtype_word(tensor.scalar_type()), " ", tensor.sizes(),
                    ".");
  return tensor;
}

at::Tensor Case::input(const std::string& name) const {
  const auto found = inputs.find(name);
  TORCH_CHECK_VALUE(found != inputs.end(), "input ", name, ": absent.");
  const at::Tensor tensor = read("input " + name, found->second);
  TORCH_CHECK_VALUE(tensor.is_floating_point() && tensor.numel() > 0, "input ", name,
                    ": expected floats, got ", tensor.scalar_type(), " ", tensor.sizes(), ".");
  return tensor.clone();
}

std::vector<Case> read_manifest(const std::filesystem::path& directory) {
  const auto path = directory / "manifest.json";
  TORCH_CHECK_VALUE(std::filesystem::is_regular_file(path), "[golden] ", directory.string(),
                    ": expected a folder with a manifest.json. Name one as tests/golden.");
  const json manifest = read_json_file(path);
  const std::string at = path.string();
  const json& cases = member(manifest, "cases", json::value_t::array, at);
  const Tolerance base = tolerance(optional(manifest, "default_tolerance"), {}, at);
  std::vector<Case> result;
  std::set<std::string> ids;
  for (size_t i = 0; i < cases.size(); ++i) {
    result.push_back(parse_case(cases[i], base, at + ": cases[" + std::to_string(i) + "]"));
    TORCH_CHECK_VALUE(ids.insert(result.back().id).second, "[golden] ", at, ": the id ",
                      result.back().id, " is there twice.");
  }
  return result;
}

}  // namespace laconic::golden
