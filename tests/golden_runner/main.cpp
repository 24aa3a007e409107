// Runs recorded cases (tests/golden/README.md) against the library.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <iostream>

#include "areas.h"
#include "laconic/base/text.h"

namespace laconic::golden {
namespace {

struct Area {
  const char* name;
  Answer (*answer)(const Case&);
  std::set<std::string> open = {};  ///< ops that nobody owns yet
};

const std::vector<Area>& areas() {
  static const std::vector<Area> table = {{"a2q", answer_a2q},
                                          {"act_dynamic", answer_act_dynamic},
                                          {"act_quant", answer_act_quant},
                                          {"bit_width", answer_bit_width},
                                          {"core_int", answer_core_int},
                                          {"scaling", answer_scaling},
                                          {"stats", answer_stats},
                                          {"zero_point", answer_zero_point},
                                          {"core_float", answer_core_float},
                                          {"core_binary_ternary", answer_core_binary_ternary},
                                          {"weight_int", answer_weight},
                                          {"weight_group", answer_weight},
                                          {"weight_float", answer_weight},
                                          {"weight_mx", answer_weight},
                                          {"rounding", answer_rounding},
                                          {"learned_round", answer_learned_round},
                                          {"core_trunc", answer_core_trunc},
                                          {"bias", answer_bias},
                                          {"presets", answer_presets},
                                          {"quant_tensor", answer_quant_tensor},
                                          {"rotation", answer_rotation},
                                          {"error_feedback", answer_error_feedback},
                                          {"equalization", answer_equalization},
                                          {"optimizers", answer_optimizers},
                                          {"weight_preprocess", answer_weight_preprocess}};
  return table;
}

/// nullptr for a case that nobody owns yet.
const Area* find_area(const Case& item) {
  for (const Area& area : areas()) {
    if (item.area == area.name) return area.open.count(item.op) > 0 ? nullptr : &area;
  }
  return nullptr;
}

struct Skipped {
  int cases = 0;
  std::set<std::string> ops;  ///< of an area that is owned in part
};

void note_skipped(const Case& item, std::map<std::string, Skipped>& skipped) {
  Skipped& entry = skipped[item.area];
  ++entry.cases;
  for (const Area& area : areas()) {
    if (item.area == area.name) entry.ops.insert(item.op);
  }
}

void print_skipped(const std::map<std::string, Skipped>& skipped) {
  for (const auto& [name, entry] : skipped) {
    std::cout << "skipped " << name;
    if (!entry.ops.empty()) {
      const std::vector<std::string> words(entry.ops.begin(), entry.ops.end());
      std::cout << " (" << join(words, ", ") << ")";
    }
    std::cout << ": " << entry.cases << " cases\n";
  }
}

std::vector<std::string> run(const Area& area, const Case& item) {
  try {
    return compare(item, area.answer(item));
  } catch (const c10::Error& error) {
    return {error.what_without_backtrace()};
  } catch (const std::exception& error) {
    return {error.what()};
  }
}

void open_files(std::vector<Case>& cases, const std::filesystem::path& directory) {
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> files;
  for (Case& item : cases) {
    if (find_area(item) == nullptr) continue;
    auto& file = files[item.area];
    if (!file) file = SafetensorsFile::open(directory / (item.area + ".safetensors"));
    item.file = file;
  }
}

int run_all(const std::filesystem::path& directory) {
  std::vector<Case> cases = read_manifest(directory);
  open_files(cases, directory);
  int passed = 0, failed = 0, skipped_cases = 0;
  std::map<std::string, Skipped> skipped;
  for (const Case& item : cases) {
    const Area* area = find_area(item);
    if (area == nullptr) {
      note_skipped(item, skipped);
      ++skipped_cases;
      continue;
    }
    const auto failures = run(*area, item);
    ++(failures.empty() ? passed : failed);
    for (const std::string& failure : failures)
      std::cout << "FAILED " << item.id << ": " << failure << "\n";
  }
  print_skipped(skipped);
  std::cout << passed << " passed, " << failed << " failed, " << skipped_cases << " skipped"
            << std::endl;
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace laconic::golden

int main(int count, char** arguments) {
  if (count != 2) {
    std::cerr << "usage: laconic_golden DIRECTORY\n";
    return 2;
  }
  at::set_num_threads(1);
  try {
    return laconic::golden::run_all(arguments[1]);
  } catch (const c10::Error& error) {
    std::cerr << error.what_without_backtrace() << "\n";
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
  }
  return 2;
}
