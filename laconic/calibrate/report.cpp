#include <cmath>
#include <nlohmann/json.hpp>

#include "laconic/calibrate/engine.h"
#include "laconic/calibrate/journal.h"
#include "laconic/calibrate/memory_plan.h"

namespace laconic {
namespace {

nlohmann::json number(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}

double number(const nlohmann::json& value, double unknown) {
  return value.is_number() ? value.get<double>() : unknown;
}

}  // namespace

nlohmann::json to_json(const LayerReport& report) {
  return {{"name", report.name},
          {"weight", report.weight_spec},
          {"signal_to_noise_db", number(report.signal_to_noise_db)},
          {"output_error", number(report.output_error)},
          {"followed_error", number(report.followed_error)},
          {"seconds", report.seconds},
          {"notes", report.notes}};
}

LayerReport layer_report_from_json(const nlohmann::json& json) {
  LayerReport report;
  report.name = json.value("name", "");
  report.weight_spec = json.value("weight", "");
  report.signal_to_noise_db = number(json.value("signal_to_noise_db", nlohmann::json()), INFINITY);
  report.output_error = number(json.value("output_error", nlohmann::json()), NAN);
  report.followed_error = number(json.value("followed_error", nlohmann::json()), NAN);
  report.seconds = number(json.value("seconds", nlohmann::json()), 0);
  report.notes = json.value("notes", std::vector<std::string>());
  return report;
}

nlohmann::json to_json(const EngineReport& report) {
  nlohmann::json layers = nlohmann::json::array();
  for (const LayerReport& layer : report.layers) layers.push_back(to_json(layer));
  return {{"layers", layers},
          {"load_seconds", report.load_seconds},
          {"calibrate_seconds", report.calibrate_seconds},
          {"solve_seconds", report.solve_seconds},
          {"write_seconds", report.write_seconds},
          {"total_seconds", report.total_seconds},
          {"peak_bytes", report.peak_bytes},
          {"memory", to_json(report.memory)}};
}

}  // namespace laconic
