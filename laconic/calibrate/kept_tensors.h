#pragma once

#include <memory>
#include <set>
#include <string>

#include "laconic/calibrate/segment_work.h"
#include "laconic/file/safetensors/safetensors.h"
#include "laconic/load/language_model.h"

namespace laconic {

/// The tensors of a result that are not quantized: as the checkpoint stores them, or as transforms
/// made them.
class KeptTensors {
 public:
  explicit KeptTensors(const LanguageModel& model)
      : model_(model), checkpoint_(Checkpoint::open(model.directory)) {}

  bool has(const std::string& name) const {
    return model_.changed.contains(name) || checkpoint_->has(name);
  }
  /// What the result holds: the checkpoint's tensors and those that transforms added; of a graph of
  /// its own only what it reads.
  std::set<std::string> names() const;
  /// A tensor that a transform changed keeps the dtype that it was stored in; another is a view of
  /// the mapped file.
  /// @throws c10::ValueError naming it for NaN or infinity.
  void add(const std::string& name, NamedTensors& tensors) const;
  /// Lets the pages of the file leave memory, if it is a view of one.
  void drop(const std::string& name) const;
  void drop_all() const;

 private:
  const LanguageModel& model_;
  std::shared_ptr<const Checkpoint> checkpoint_;
};

}  // namespace laconic
