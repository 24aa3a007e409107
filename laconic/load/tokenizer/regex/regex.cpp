#include "laconic/load/tokenizer/regex/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <c10/util/Exception.h>
#include <pcre2.h>

#include <array>

#include "laconic/load/tokenizer/regex/oniguruma.h"
#include "laconic/load/tokenizer/text/utf8.h"

namespace laconic::tokenizer {
namespace {

// Steps of one search; real patterns need a few per character of the match.
constexpr uint32_t kMatchLimit = 20'000'000;
// Places to come back to: on a stack with PCRE2's compiler, on the heap (in KiB) without it.
constexpr size_t kLargestStack = 64 << 20;
constexpr uint32_t kLargestHeap = 256 << 10;

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 200> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

template <auto kFree>
struct Freed {
  template <typename T>
  void operator()(T* pointer) const {
    kFree(pointer);
  }
};

}  // namespace

struct Pattern::Compiled {
  std::string expression, where;
  std::unique_ptr<pcre2_code, Freed<pcre2_code_free>> code;
  std::unique_ptr<pcre2_match_context, Freed<pcre2_match_context_free>> context;

  Compiled(std::string_view source, const std::string& place);
  int search(std::string_view text, size_t from, pcre2_match_data* data) const;
  int search_with_stack(std::string_view text, size_t from, pcre2_match_data* data) const;
};

Pattern::Compiled::Compiled(std::string_view source, const std::string& place)
    : expression(source), where(place), context(pcre2_match_context_create(nullptr)) {
  const std::string translated = to_pcre2(source, where);
  const std::unique_ptr<pcre2_compile_context, Freed<pcre2_compile_context_free>> options(
      pcre2_compile_context_create(nullptr));
  pcre2_set_newline(options.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  size_t offset = 0;
  code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                           PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                           &error, &offset, options.get()));
  TORCH_CHECK_VALUE(code != nullptr, "[tokenizer] ", where, ": pattern \"", expression,
                    "\": expected a regular expression, got an error: ", message_of(error),
                    " (offset ", offset, " of \"", translated, "\"). Mend the expression.");
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // without it matching is only slower
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_heap_limit(context.get(), kLargestHeap);
}

int Pattern::Compiled::search(std::string_view text, size_t from, pcre2_match_data* data) const {
  return pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                     PCRE2_NO_UTF_CHECK, data, context.get());
}

// The small stack on the machine's stack was not enough: once more with a large one.
int Pattern::Compiled::search_with_stack(std::string_view text, size_t from,
                                         pcre2_match_data* data) const {
  const std::unique_ptr<pcre2_jit_stack, Freed<pcre2_jit_stack_free>> stack(
      pcre2_jit_stack_create(1 << 16, kLargestStack, nullptr));
  const std::unique_ptr<pcre2_match_context, Freed<pcre2_match_context_free>> large(
      pcre2_match_context_copy(context.get()));
  pcre2_jit_stack_assign(large.get(), nullptr, stack.get());
  return pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                     PCRE2_NO_UTF_CHECK, data, large.get());
}

Pattern Pattern::read(const JsonField& field) {
  const std::string expected = "\"String\" or \"Regex\"";
  field.expect_single(expected);
  if (const auto text = field.find("String")) return literal(text->string());
  if (const auto expression = field.find("Regex")) {
    return regex(expression->string(), field.where() + ": " + field.path());
  }
  field.fail("an object with " + expected);
}

Pattern Pattern::literal(std::string text) {
  Pattern pattern;
  pattern.literal_ = std::move(text);
  // The empty string matches between any two characters, which the regular expression knows how to
  // do.
  if (pattern.literal_.empty()) pattern.compiled_ = std::make_shared<const Compiled>("", "");
  return pattern;
}

Pattern Pattern::regex(std::string_view expression, const std::string& where) {
  Pattern pattern;
  pattern.compiled_ = std::make_shared<const Compiled>(expression, where);
  return pattern;
}

namespace {

std::vector<Span> find_literal(std::string_view text, std::string_view word) {
  std::vector<Span> spans;
  size_t at = 0;
  for (size_t hit = text.find(word); hit != std::string_view::npos; hit = text.find(word, at)) {
    if (at != hit) spans.push_back({at, hit, false});
    at = hit + word.size();
    spans.push_back({hit, at, true});
  }
  if (at != text.size()) spans.push_back({at, text.size(), false});
  return spans;
}

}  // namespace

std::vector<Span> Pattern::find(std::string_view text) const {
  if (text.empty()) return {{0, 0, false}};
  if (!compiled_) return find_literal(text, literal_);
  const std::unique_ptr<pcre2_match_data, Freed<pcre2_match_data_free>> data(
      pcre2_match_data_create(1, nullptr));
  std::vector<Span> spans;
  size_t covered = 0;                        // everything before this is in `spans`
  size_t last_end = std::string_view::npos;  // of the last accepted match
  for (size_t from = 0; from <= text.size();) {
    int found = compiled_->search(text, from, data.get());
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)
      found = compiled_->search_with_stack(text, from, data.get());
    if (found == PCRE2_ERROR_NOMATCH) break;
    TORCH_CHECK_VALUE(found >= 0, "[tokenizer] ", compiled_->where, ": pattern \"",
                      compiled_->expression, "\" on a text of ", text.size(),
                      " bytes: expected a match in bounded work, got: ", message_of(found),
                      " at offset ", from, ". Use a pattern that backtracks less.");
    const size_t* bounds = pcre2_get_ovector_pointer(data.get());
    const size_t begin = bounds[0], end = bounds[1];
    // An empty match right behind the last one is not taken; the search goes on one character
    // later.
    if (begin == end && end == last_end) {
      from += from < text.size() ? sequence_length(text[from]) : 1;
      continue;
    }
    from = last_end = end;
    if (covered != begin) spans.push_back({covered, begin, false});
    spans.push_back({begin, end, true});
    covered = end;
  }
  if (covered != text.size()) spans.push_back({covered, text.size(), false});
  return spans;
}

}  // namespace laconic::tokenizer
