#include "laconic/file/json/json.h"

#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "laconic/base/atomic_file.h"

namespace laconic {
namespace {

// Watches the parser: the keys of every open object, and how deep the text nests.
class Watcher {
 public:
  Watcher(const std::string& where, int max_depth) : where_(where), max_depth_(max_depth) {}

  bool operator()(int depth, nlohmann::json::parse_event_t event, const nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      TORCH_CHECK_VALUE(depth < max_depth_, where_, ": expected JSON nested at most ", max_depth_,
                        " deep, got deeper nesting. The file is damaged or hostile.");
    }
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event == Event::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      TORCH_CHECK_VALUE(keys_.back().insert(key).second, where_,
                        ": expected every key once, got \"", key,
                        "\" twice in one object. Remove one of them.");
    }
    return true;
  }

 private:
  const std::string& where_;
  int max_depth_;
  std::vector<std::set<std::string>> keys_;
};

// The library's message without its own "[json.exception.parse_error.101] ".
std::string_view message_of(const nlohmann::json::exception& error) {
  const std::string_view text = error.what();
  const size_t end = text.find("] ");
  return end == std::string_view::npos ? text : text.substr(end + 2);
}

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& where, int max_depth) {
  Watcher watcher(where, max_depth);
  try {
    return nlohmann::json::parse(
        text.begin(), text.end(),
        [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
          return watcher(depth, event, parsed);
        });
  } catch (const nlohmann::json::parse_error& error) {
    TORCH_CHECK_VALUE(false, where, ": expected JSON, got an error at byte ", error.byte, ": ",
                      message_of(error), ".");
  } catch (const nlohmann::json::exception& error) {
    TORCH_CHECK_VALUE(false, where, ": expected JSON, got an error: ", message_of(error), ".");
  }
}

nlohmann::json read_json_file(const std::filesystem::path& path) {
  return parse_json(read_text_file(path), "[json] " + path.string());
}

void write_json_file(const std::filesystem::path& path, const nlohmann::json& value) {
  std::string text;
  try {
    text = value.dump(2) + "\n";
  } catch (const nlohmann::json::exception& error) {
    TORCH_CHECK_VALUE(false, "[json] ", path.string(),
                      ": expected text in UTF-8, got an error: ", message_of(error), ".");
  }
  write_text_file(path, text);
}

}  // namespace laconic
