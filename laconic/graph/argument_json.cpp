#include "laconic/graph/argument_json.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "laconic/base/variant.h"

namespace laconic::graph {
namespace {

using Json = nlohmann::json;

Json number(double x) {
  if (std::isfinite(x)) return x;
  return Json{{"float", std::isnan(x) ? "nan" : x > 0 ? "inf" : "-inf"}};
}

/// Lists of lists of numbers that are not finite do not occur, so lists hold plain numbers or
/// words.
Json numbers(const std::vector<double>& list) {
  Json result = Json::array();
  for (const double x : list) result.push_back(std::isfinite(x) ? Json(x) : number(x)["float"]);
  return result;
}

Json bools(const c10::List<bool>& list) {
  Json result = Json::array();
  for (const bool x : list) result.push_back(x);
  return result;
}

Json constant_json(const c10::IValue& x, const std::string& name, TensorTable& tensors) {
  if (x.isNone() || (x.isTensor() && !x.toTensor().defined())) return nullptr;
  if (x.isTensor()) {
    tensors.emplace(name, x.toTensor());
    return {{"tensor", name}};
  }
  if (x.isBool()) return x.toBool();
  if (x.isInt()) return x.toInt();
  if (x.isDouble()) return number(x.toDouble());
  if (x.isString()) return x.toStringRef();
  if (x.isIntList()) return {{"ints", x.toIntVector()}};
  if (x.isDoubleList()) return {{"floats", numbers(x.toDoubleVector())}};
  if (x.isBoolList()) return {{"bools", bools(x.toBoolList())}};
  if (x.isDevice()) return {{"device", x.toDevice().str()}};
  TORCH_CHECK_VALUE(
      false, name, ": a constant of kind ", x.tagKind(),
      " cannot be saved: expected a number, a truth value, a text, a device, a tensor "
      "or a list of numbers.");
}

[[noreturn]] void fail(const std::string& where, const std::string& expected, const Json& got) {
  std::string text = got.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 60) + "...";
  TORCH_CHECK_VALUE(false, where, ": expected ", expected, ", got ", text, ".");
}

int64_t whole(const Json& json, const std::string& where, int64_t low, int64_t high) {
  const bool fits = json.is_number_integer() &&
                    !(json.is_number_unsigned() && json.get<uint64_t>() > INT64_MAX) &&
                    json.get<int64_t>() >= low && json.get<int64_t>() <= high;
  if (!fits)
    fail(where, "a whole number from " + std::to_string(low) + " to " + std::to_string(high), json);
  return json.get<int64_t>();
}

double real(const Json& json, const std::string& where) {
  if (json.is_number()) return json.get<double>();
  for (const auto& [word, value] : {std::pair("nan", std::numeric_limits<double>::quiet_NaN()),
                                    std::pair("inf", std::numeric_limits<double>::infinity()),
                                    std::pair("-inf", -std::numeric_limits<double>::infinity())})
    if (json == word) return value;
  fail(where, "a number, \"nan\", \"inf\" or \"-inf\"", json);
}

std::vector<int64_t> wholes(const Json& json, const std::string& where) {
  if (!json.is_array()) fail(where, "a list of whole numbers", json);
  std::vector<int64_t> result;
  for (const Json& item : json) result.push_back(whole(item, where, INT64_MIN, INT64_MAX));
  return result;
}

c10::IValue floats(const Json& json, const std::string& where) {
  if (!json.is_array()) fail(where, "a list of numbers", json);
  std::vector<double> result;
  for (const Json& item : json) result.push_back(real(item, where));
  return result;
}

c10::IValue truths(const Json& json, const std::string& where) {
  c10::List<bool> result;
  if (!json.is_array()) fail(where, "a list of truth values", json);
  for (const Json& item : json) {
    if (!item.is_boolean()) fail(where, "a list of truth values", json);
    result.push_back(item.get<bool>());
  }
  return result;
}

Argument value_argument(const Json& json, const std::string& where) {
  if (!json.is_array() || json.size() != 2) fail(where, "[node, output]", json);
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max() - 1;
  // A list of tensors has as many outputs as are used: a slot is kept for each.
  constexpr int64_t kMostOutputs = 1 << 16;
  return Value{static_cast<NodeId>(whole(json[0], where, 0, kMost)),
               static_cast<int32_t>(whole(json[1], where, 0, kMostOutputs))};
}

Argument size_argument(const Json& json, const std::string& where) {
  if (!json.is_array() || json.size() != 3)
    fail(where, "[factor, batch power, length power]", json);
  return Size{whole(json[0], where, INT32_MIN, INT32_MAX),
              static_cast<int32_t>(whole(json[1], where, 0, 2)),
              static_cast<int32_t>(whole(json[2], where, 0, 2))};
}

Argument list_argument(const Json& json, const std::string& where, const TensorTable& tensors) {
  if (!json.is_array()) fail(where, "a list of arguments", json);
  ArgumentList list;
  for (const Json& item : json) {
    if (item.is_object() && item.contains("list")) fail(where, "no list inside a list", item);
    list.push_back(argument_from_json(item, where, tensors));
  }
  return list;
}

c10::IValue device(const Json& json, const std::string& where) {
  if (!json.is_string()) fail(where, "a device", json);
  try {
    return c10::Device(json.get<std::string>());
  } catch (const c10::Error&) {
    fail(where, "a device like \"cpu\" or \"cuda:0\"", json);
  }
}

c10::IValue tensor(const Json& json, const std::string& where, const TensorTable& tensors) {
  const auto found = json.is_string() ? tensors.find(json.get<std::string>()) : tensors.end();
  if (found == tensors.end()) fail(where, "the name of a tensor of the file", json);
  return found->second;
}

}  // namespace

nlohmann::json to_json(const Argument& argument, const std::string& name, TensorTable& tensors) {
  return std::visit(
      Overloaded{
          [&](const c10::IValue& constant) { return constant_json(constant, name, tensors); },
          [](const Value& value) {
            return Json{{"value", {value.node, value.output}}};
          },
          [](const Size& size) {
            return Json{{"size", {size.factor, size.batch_power, size.length_power}}};
          },
          [&](const ArgumentList& list) {
            Json items = Json::array();
            for (const Argument& item : list)
              items.push_back(to_json(item, name + "." + std::to_string(items.size()), tensors));
            return Json{{"list", std::move(items)}};
          }},
      argument.data);
}

Argument argument_from_json(const Json& json, const std::string& where,
                            const TensorTable& tensors) {
  if (json.is_null()) return c10::IValue();
  if (json.is_boolean()) return c10::IValue(json.get<bool>());
  if (json.is_number_integer()) return c10::IValue(whole(json, where, INT64_MIN, INT64_MAX));
  if (json.is_number()) return c10::IValue(json.get<double>());
  if (json.is_string()) return c10::IValue(json.get<std::string>());
  if (!json.is_object() || json.size() != 1) fail(where, "an argument with one key", json);
  const std::string& kind = json.begin().key();
  const Json& inside = json.begin().value();
  if (kind == "value") return value_argument(inside, where);
  if (kind == "size") return size_argument(inside, where);
  if (kind == "list") return list_argument(inside, where, tensors);
  if (kind == "ints") return c10::IValue(wholes(inside, where));
  if (kind == "floats") return floats(inside, where);
  if (kind == "float") return c10::IValue(real(inside, where));
  if (kind == "bools") return truths(inside, where);
  if (kind == "device") return device(inside, where);
  if (kind == "tensor") return tensor(inside, where, tensors);
  fail(where, "one of value, size, list, ints, floats, float, bools, device, tensor", json);
}

}  // namespace laconic::graph
