#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>

#include "laconic/base/memory.h"
#include "laconic/base/table.h"
#include "laconic/base/text.h"
#include "laconic/transform/awq/awq.h"
#include "laconic/transform/biases/biases.h"
#include "laconic/transform/equalize/equalize.h"
#include "laconic/transform/expand/expand.h"
#include "laconic/transform/fold_norms/fold_norms.h"
#include "laconic/transform/low_rank/low_rank.h"
#include "laconic/transform/magr/magr.h"
#include "laconic/transform/memory.h"
#include "laconic/transform/permute/permute.h"
#include "laconic/transform/rotate/rotate.h"
#include "laconic/transform/smooth/smooth.h"
#include "laconic/transform/split/split.h"
#include "laconic/transform/transform.h"

namespace laconic {
namespace {

constexpr Transform kTransforms[] = {
    transform::kAwq,       transform::kBiases,  transform::kEqualize, transform::kExpand,
    transform::kFoldNorms, transform::kLowRank, transform::kMagr,     transform::kPermute,
    transform::kRotate,    transform::kSmooth,  transform::kSpin,     transform::kSplit};

/// The plan of memory, and the context that obeys it.
MemoryReport obey_plan(const LanguageModel& model, const Transform& transform,
                       const nlohmann::json& options, transform::TransformContext& context) {
  trim_heap();
  const MemoryReport plan =
      transform::plan_transform(model, transform, options, context, resident_bytes());
  if (context.host_memory > 0) return_freed_memory_at_once();
  obey_device_limit(engine_options(context));
  context.batch = plan.batch;
  context.place.in_main_memory = plan.carried != KeptIn::kDevice;
  if (plan.carried == KeptIn::kDisk)
    context.place.disk = std::make_shared<DiskMemory>(context.working);
  return plan;
}

}  // namespace

std::span<const Transform> transforms() { return kTransforms; }

const Transform& find_transform(const std::string& name) {
  if (const Transform* found = find_row<Transform>(kTransforms, name)) return *found;
  TORCH_CHECK_VALUE(false, "[transform] unknown transform \"", name, "\"",
                    suggestion(name, row_names<Transform>(kTransforms)), ".");
}

nlohmann::json to_json(const TransformReport& report) {
  return {{"name", report.name}, {"done", report.done}, {"fallbacks", report.fallbacks}};
}

TransformReport transform_model(LanguageModel& model, const Transform& transform,
                                const nlohmann::json& options,
                                const transform::TransformContext& context) {
  transform.check_options(options);
  transform::FloatNetwork network{model.graph, model.parameters, model.changed,
                                  model.graph_changes};
  network.context = context;
  network.config = model.config;
  const MemoryReport memory = obey_plan(model, transform, options, network.context);
  TransformReport report = transform.apply(network, options);
  trim_heap();  // what comes next is planned beside what is resident
  report.memory = memory;
  if (const auto& disk = network.context.place.disk; disk != nullptr)
    report.memory.spilled_bytes = disk->peak_bytes();
  note_device_peak(engine_options(context), report.memory);
  network.graph.check();
  model.graph = std::move(network.graph);
  model.parameters = std::move(network.parameters);
  model.changed = std::move(network.changed);
  model.graph_changes = std::move(network.graph_changes);
  model.config = std::move(network.config);
  if (network.untied) model.config["tie_word_embeddings"] = false;
  model.layers = graph::find_linear_layers(model.graph);
  model.blocks = graph::find_blocks(model.graph);
  return report;
}

}  // namespace laconic
