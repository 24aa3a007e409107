#include "laconic/export/gguf/gguf_export.h"

#include <c10/util/Exception.h>

#include <map>
#include <set>

#include "laconic/base/text.h"
#include "laconic/export/gguf/network.h"
#include "laconic/export/gguf/rope_keys.h"
#include "laconic/export/gguf/storage.h"
#include "laconic/export/gguf/super_block_storage.h"
#include "laconic/export/gguf/tokenizer_keys.h"
#include "laconic/export/obstacles.h"
#include "laconic/file/json/json.h"
#include "laconic/load/native/stored.h"

namespace laconic {
namespace {

// A tensor of the file: where it comes from and how it is stored.
struct Item {
  GgufPlace place;
  std::string source;                  // tensor of the checkpoint
  const NativeLayer* layer = nullptr;  // when it is quantized
  GgufType type = GgufType::F32;
  std::vector<int64_t> shape = {};
};

class GgufExport {
 public:
  GgufExport(const NativeDirectory& model, GgufPrecision precision)
      : model_(model),
        precision_(precision),
        config_(read_json_file(model.path() / "config.json")),
        network_(read_network(config_)) {
    check_obstacles();
  }

  ExportReport write(const std::filesystem::path& out) {
    plan();
    ExportReport report;
    report.notes = network_.notes;
    const auto tokenizer = read_gguf_tokenizer(model_.path(), config_, network_.vocabulary);
    report.notes.insert(report.notes.end(), tokenizer.notes.begin(), tokenizer.notes.end());
    GgufWriter writer(out);
    put_keys(writer);
    for (const auto& [key, value] : tokenizer.keys) writer.put(key, value);
    for (const Item& item : items_) writer.declare(item.place.name, item.type, item.shape);
    if (has_divisors()) writer.declare("rope_freqs.weight", GgufType::F32, {divisors()});
    for (const auto& [name, scale] : tensor_scales_) writer.declare(name, GgufType::F32, {1});
    for (const Item& item : items_) write_item(writer, item);
    if (has_divisors()) writer.write(std::as_bytes(std::span(network_.rope_divisors)));
    for (const auto& [name, scale] : tensor_scales_)
      writer.write(std::as_bytes(std::span(&scale, 1)));
    writer.commit();
    report.files = {out};
    report.bytes = std::filesystem::file_size(out);
    note_types(report);
    return report;
  }

 private:
  void check_obstacles() const {
    auto found = gguf_obstacles(config_, model_.layers(), precision_);
    for (std::string& reason : graph_obstacles(model_.graph_changes()))
      found.push_back(std::move(reason));
    TORCH_CHECK_NOT_IMPLEMENTED(found.empty(), "[gguf] ", model_.path().string(),
                                " cannot become a GGUF file:\n  ", join(found, "\n  "));
  }

  bool has_divisors() const { return !network_.rope_divisors.empty(); }
  int64_t divisors() const { return static_cast<int64_t>(network_.rope_divisors.size()); }

  void plan() {
    std::set<std::string> parts;  // tensors that stand for a quantized layer
    for (const NativeLayer& layer : model_.layers()) {
      for (const std::string& name : tensor_names(layer)) parts.insert(name);
      add(layer.is_embedding ? layer.name + ".weight" : layer.weight_name, &layer);
    }
    for (const std::string& name : model_.tensors().names()) {
      if (!parts.contains(name)) add(name, nullptr);
    }
    add_tied_head();
    check_complete();
  }

  void add(const std::string& name, const NativeLayer* layer) {
    // A head that was quantized is there, tied or not.
    GgufNetwork network = network_;
    if (layer != nullptr) network.is_tied = false;
    const auto place = place_of(config_, network, name);
    if (!place) return;
    Item item{.place = *place, .source = name, .layer = layer};
    if (layer != nullptr) {
      item.shape = layer->shape;
      item.type = precision_ == GgufPrecision::kExact
                      ? block_type(model_, *layer)
                      : float_type(place->name, model_.dequantized(*layer), precision_);
    } else {
      const auto tensor = float_tensor(item);
      item.shape = tensor.sizes().vec();
      item.type = float_type(place->name, tensor, precision_);
      model_.tensors().drop(name);
    }
    if (item.type == GgufType::NVFP4) add_tensor_scale(item);
    items_.push_back(std::move(item));
  }

  // Readers multiply what the layer gives by NAME.scale.
  void add_tensor_scale(const Item& item) {
    std::string name = item.place.name;
    name.replace(name.rfind("weight"), std::string::npos, "scale");
    tensor_scales_.emplace_back(name, find_tensor_scale(model_, *item.layer).scale);
  }

  void add_tied_head() {
    if (!network_.needs_head || !network_.is_tied) return;
    for (size_t i = 0; i < items_.size(); ++i) {
      if (items_[i].place.name != "token_embd.weight") continue;
      Item head = items_[i];
      head.place.name = "output.weight";
      items_.push_back(std::move(head));
      return;
    }
  }

  void check_complete() const {
    std::set<std::string> names;
    for (const Item& item : items_) {
      TORCH_CHECK_VALUE(names.insert(item.place.name).second, "[gguf] ", model_.path().string(),
                        ": two tensors become ", item.place.name, ", one of them ", item.source,
                        ". The checkpoint is damaged.");
    }
    for (const std::string& name : required_tensors(config_, network_)) {
      TORCH_CHECK_VALUE(
          names.contains(name), "[gguf] ", model_.path().string(), ": expected a tensor for ", name,
          ", got none. The checkpoint is incomplete, or config.json is of another model.");
    }
  }

  // As the file wants it, in the stored dtype but for float64.
  at::Tensor float_tensor(const Item& item) const {
    auto tensor = model_.tensors().tensor(item.source);
    TORCH_CHECK_VALUE(tensor.is_floating_point() && tensor.dim() > 0 && tensor.numel() > 0,
                      "[gguf] tensor ", item.source, ": expected floating numbers, got ",
                      tensor.toString(), " ", tensor.sizes(), ".");
    if (tensor.scalar_type() == at::kDouble) tensor = tensor.to(at::kFloat);
    const bool is_linear = tensor.dim() == 2 && item.place.name.starts_with("blk.");
    if (network_.stores_transposed && is_linear) tensor = tensor.t();
    return reordered(tensor, item.place.order, network_);
  }

  void put_keys(GgufWriter& writer) const {
    writer.put("general.architecture", network_.architecture);
    writer.put("general.type", std::string("model"));
    const std::string name = model_.path().has_filename()
                                 ? model_.path().filename().string()
                                 : model_.path().parent_path().filename().string();
    writer.put("general.name", name.empty() ? network_.architecture : name);
    writer.put("general.file_type", file_type());
    writer.put("general.quantization_version", uint32_t{2});
    for (const auto& [key, value] : network_.keys) writer.put(key, value);
  }

  // The type that most of the quantized numbers have, as llama.cpp numbers files.
  uint32_t file_type() const {
    const std::map<GgufType, uint32_t> numbers = {
        {GgufType::F32, 0},    {GgufType::F16, 1},     {GgufType::Q4_0, 2},   {GgufType::Q4_1, 3},
        {GgufType::Q8_0, 7},   {GgufType::Q5_0, 8},    {GgufType::Q5_1, 9},   {GgufType::BF16, 32},
        {GgufType::Q2_K, 10},  {GgufType::Q3_K, 11},   {GgufType::Q4_K, 14},  {GgufType::Q5_K, 16},
        {GgufType::Q6_K, 18},  {GgufType::IQ4_NL, 25}, {GgufType::TQ1_0, 36}, {GgufType::TQ2_0, 37},
        {GgufType::MXFP4, 38}, {GgufType::NVFP4, 39}};
    const bool quantized = precision_ == GgufPrecision::kExact && !model_.layers().empty();
    std::map<GgufType, uint64_t> counts;
    for (const Item& item : items_) {
      if (item.shape.size() < 2 || (quantized && item.layer == nullptr)) continue;
      counts[item.type] += static_cast<uint64_t>(item.shape[0] * item.shape[1]);
    }
    GgufType most = GgufType::F32;
    uint64_t largest = 0;
    for (const auto& [type, count] : counts) {
      if (count > largest) most = type, largest = count;
    }
    return numbers.at(most);
  }

  void write_item(GgufWriter& writer, const Item& item) const {
    at::Tensor data;
    if (item.layer != nullptr && precision_ == GgufPrecision::kExact) {
      data = block_rows(model_, *item.layer, item.type, item.place.order, network_);
    } else {
      data = item.layer != nullptr
                 ? reordered(model_.dequantized(*item.layer), item.place.order, network_)
                 : float_tensor(item);
      const auto dtype = item.type == GgufType::F32   ? at::kFloat
                         : item.type == GgufType::F16 ? at::kHalf
                                                      : at::kBFloat16;
      data = data.to(dtype).contiguous();
    }
    writer.write({static_cast<const std::byte*>(data.const_data_ptr()), data.nbytes()});
    if (item.layer == nullptr)
      model_.tensors().drop(item.source);
    else
      model_.tensors().drop(codes_name(*item.layer));
  }

  void note_types(ExportReport& report) const {
    if (precision_ == GgufPrecision::kF16) {
      report.notes.emplace_back("Matrices were rounded to float16.");
    }
    int64_t wider = 0;
    for (const Item& item : items_) {
      const bool asymmetric = item.layer != nullptr && std::holds_alternative<IntegerZeroPoint>(
                                                           item.layer->weight.zero_point);
      if (asymmetric && (item.type == GgufType::Q5_0 || item.type == GgufType::Q8_0)) ++wider;
    }
    if (wider == 0 || precision_ != GgufPrecision::kExact) return;
    report.notes.push_back(
        std::to_string(wider) +
        " asymmetric layers are stored one step wider (Q5_0, Q8_0), because their "
        "scale * zero point is no float16; zero_point: stored_minimum in the recipe gives Q4_1.");
  }

  const NativeDirectory& model_;
  GgufPrecision precision_;
  nlohmann::json config_;
  GgufNetwork network_;
  std::vector<Item> items_;
  std::vector<std::pair<std::string, float>> tensor_scales_;
};

// Beside what its blocks cannot hold.
std::string embedding_obstacle(const nlohmann::json& config, const GgufNetwork& network,
                               const NativeLayer& layer) {
  if (super_block_type(layer) == GgufType::NVFP4)
    return "is an embedding in NVFP4, whose scale of the whole tensor readers apply to linear "
           "layers alone: choose another format for it, or skip: true";
  if (network.architecture.empty()) return "";
  const auto place = place_of(config, network, layer.name + ".weight");
  if (place && place->name == "token_embd.weight") return "";
  return "is an embedding of positions, which readers of GGUF expect in float32: put skip: true "
         "into a rule for it";
}

}  // namespace

std::vector<std::string> gguf_obstacles(const nlohmann::json& config,
                                        const std::vector<NativeLayer>& layers,
                                        GgufPrecision precision) {
  const GgufNetwork network = read_network(config);
  std::vector<std::string> found = network.obstacles;
  LayerObstacles obstacles;
  for (const NativeLayer& layer : layers) {
    if (layer.input) {
      obstacles.add(layer.name, "has a quantized input (" + to_string(*layer.input) +
                                    "), GGUF stores weights only: leave input out of the recipe, "
                                    "or export as compressed-tensors");
    }
    if (precision != GgufPrecision::kExact) continue;
    for (const std::string& reason : block_obstacles(layer)) obstacles.add(layer.name, reason);
    if (layer.is_embedding) obstacles.add(layer.name, embedding_obstacle(config, network, layer));
  }
  const auto sentences = obstacles.sentences();
  found.insert(found.end(), sentences.begin(), sentences.end());
  return found;
}

ExportReport write_gguf(const NativeDirectory& model, const std::filesystem::path& out,
                        bool overwrite, GgufPrecision precision) {
  TORCH_CHECK_VALUE(!std::filesystem::is_directory(out), "[gguf] ", out.string(),
                    ": expected the name of a file, got a directory.");
  TORCH_CHECK_VALUE(overwrite || !std::filesystem::exists(out), "[gguf] ", out.string(),
                    " is there already. Choose another name, or give --overwrite.");
  return GgufExport(model, precision).write(out);
}

}  // namespace laconic
