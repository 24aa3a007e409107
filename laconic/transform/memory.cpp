#include "laconic/transform/memory.h"

#include "laconic/calibrate/segments.h"
#include "laconic/transform/needs.h"

namespace laconic::transform {
namespace {

TransformNeeds needs_of(const LanguageModel& model, const Transform& transform,
                        const nlohmann::json& options, const TransformContext& context) {
  if (transform.needs == nullptr) return {};
  FloatNetwork network{model.graph, model.parameters, model.changed, model.graph_changes};
  network.context = context;
  network.config = model.config;
  return transform.needs(network, options);
}

/// All layers, so that what the windows take on their way is known.
std::vector<LayerPlan> plans_of(const LanguageModel& model, const TransformNeeds& needs) {
  std::vector<LayerPlan> plans;
  for (const graph::LinearLayer& layer : model.layers)
    plans.push_back({.layer = layer, .weight = {}, .input = {}});
  for (LayerPlan& plan : plans)
    plan.needs_hessian = needs.products == FeatureMoments::Products::kHessian &&
                         needs.looks.contains(plan.layer.name);
  return plans;
}

/// Up to the last segment that is looked at.
size_t count_to_run(const EngineGraph& graph, const TransformNeeds& needs) {
  size_t count = 0;
  for (size_t i = 0; i < graph.segments.size(); ++i)
    for (const auto& [layer, bytes] : needs.looks)
      if (graph.segments[i].has(layer)) count = i + 1;
  return count;
}

}  // namespace

EngineOptions engine_options(const TransformContext& context) {
  return {.batch = context.batch,
          .device = context.device,
          .host_memory = context.host_memory,
          .device_memory = context.device_memory};
}

MemoryReport plan_transform(const LanguageModel& model, const Transform& transform,
                            const nlohmann::json& options, const TransformContext& context,
                            uint64_t resident) {
  TransformNeeds needs = needs_of(model, transform, options, context);
  const auto plans = plans_of(model, needs);
  const EngineGraph graph = plan_segments(model, plans, /*quantized_inputs=*/false);
  PlannedWork work{.model = model, .graph = graph, .solves = false, .holds_blocks = false};
  // Statistics that are there already need no windows.
  const bool runs = context.windows.defined() && context.statistics == nullptr;
  if (runs) work.run = count_to_run(graph, needs);
  if (work.run > 0) work.windows = context.windows.size(0), work.length = context.windows.size(1);
  work.other = {.where = std::string("[transform ") + transform.name + "]",
                .worker = "what the transform works with",
                .what_helps =
                    "choose shorter windows (calibration.length), or leave the transform "
                    "out of the recipe",
                .looks = std::move(needs.looks),
                .others = std::move(needs.others),
                .kept = needs.kept};
  return plan_memory(work, engine_options(context), resident);
}

}  // namespace laconic::transform
