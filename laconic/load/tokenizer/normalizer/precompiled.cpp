#include <c10/util/Exception.h>

#include <array>
#include <memory>

#include "laconic/base/base64.h"
#include "laconic/load/tokenizer/normalizer/charsmap.h"
#include "laconic/load/tokenizer/normalizer/normalizer.h"
#include "laconic/load/tokenizer/text/unicode.h"
#include "laconic/load/tokenizer/text/utf8.h"

namespace laconic::tokenizer {
namespace {

std::string read_base64(const JsonField& field) {
  const auto bytes = decode_base64(field.string());
  if (!bytes) field.fail("base64");
  return *bytes;
}

struct Job {
  const Charsmap& map;
  std::string out;
};

// Short clusters are looked up whole, by their shortest key: this is what models were converted
// with.
void replace_cluster(void* context, std::string_view cluster) {
  Job& job = *static_cast<Job*>(context);
  if (cluster.size() < 6) {
    const Charsmap::Hit hit = job.map.shortest_prefix(cluster);
    if (hit.length > 0) {
      job.out += hit.replacement;
      return;
    }
  }
  for (size_t at = 0; at < cluster.size();) {
    const std::string_view part = cluster.substr(at, sequence_length(cluster[at]));
    const Charsmap::Hit hit = job.map.shortest_prefix(part);
    job.out += hit.length > 0 ? hit.replacement : part;
    at += part.size();
  }
}

}  // namespace

Normalizer make_precompiled(const JsonField& field) {
  const JsonField blob = field.at("precompiled_charsmap");
  const auto map =
      std::make_shared<const Charsmap>(read_base64(blob), field.where() + ": " + blob.path());
  return [map](Text& text) {
    Job job{*map, {}};
    job.out.reserve(text.text.size());
    for_each_grapheme(text.text, replace_cluster, &job);
    text.text = std::move(job.out);
  };
}

}  // namespace laconic::tokenizer
