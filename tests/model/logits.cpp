// laconic_logits DIRECTORY...: reads input_ids of DIRECTORY.ids.safetensors, writes the logits of
// the model in DIRECTORY to DIRECTORY.logits.safetensors. For the comparison with transformers.
#include <c10/util/Exception.h>

#include <cstdio>
#include <string>

#include "laconic/file/safetensors/safetensors.h"
#include "laconic/graph/run.h"
#include "laconic/load/language_model.h"

namespace {

void write_logits(const std::string& directory) {
  const auto model = laconic::load_language_model(directory);
  const auto ids =
      laconic::SafetensorsFile::open(directory + ".ids.safetensors")->tensor("input_ids");
  const laconic::graph::Runner runner(model.graph);
  laconic::write_safetensors(directory + ".logits.safetensors",
                             {{"logits", runner(ids, *model.parameters)}});
}

}  // namespace

int main(int argc, char** argv) {
  int failed = 0;
  for (int i = 1; i < argc; ++i) {
    try {
      write_logits(argv[i]);
    } catch (const c10::Error& error) {
      std::fprintf(stderr, "%s\n", error.what_without_backtrace());
      ++failed;
    }
  }
  return failed > 0 ? 1 : 0;
}
