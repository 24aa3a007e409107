#include "laconic/load/tokenizer/text/unicode.h"

#include <c10/util/Exception.h>
#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/ubrk.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>
#include <unicode/uscript.h>
#include <unicode/utext.h>

#include <array>
#include <memory>

#include "laconic/load/tokenizer/text/new_code_points.h"
#include "laconic/load/tokenizer/text/utf8.h"

namespace laconic::tokenizer {
namespace {

UChar32 icu_point(char32_t c) { return static_cast<UChar32>(c); }

uint32_t category_mask(char32_t c) { return U_GET_GC_MASK(icu_point(c)); }

// True for code points that Unicode had assigned by this version.
bool assigned_by(char32_t c, uint8_t major) {
  UVersionInfo age;
  u_charAge(icu_point(c), age);
  return age[0] >= 1 && age[0] <= major;
}

void check(UErrorCode status, const char* what) {
  TORCH_CHECK(U_SUCCESS(status), "[tokenizer] ICU failed to ", what, ": ", u_errorName(status),
              ".");
}

const icu::Normalizer2& base_normalizer(NormalForm form) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* found = nullptr;
  switch (form) {
    case NormalForm::kNfc:
      found = icu::Normalizer2::getNFCInstance(status);
      break;
    case NormalForm::kNfd:
      found = icu::Normalizer2::getNFDInstance(status);
      break;
    case NormalForm::kNfkc:
      found = icu::Normalizer2::getNFKCInstance(status);
      break;
    case NormalForm::kNfkd:
      found = icu::Normalizer2::getNFKDInstance(status);
      break;
  }
  check(status, "load its normalization data");
  return *found;
}

// The package normalizes as Unicode 9 did: younger code points stay as they are.
const icu::Normalizer2& normalizer(NormalForm form) {
  static const icu::UnicodeSet* const known = [] {
    UErrorCode status = U_ZERO_ERROR;
    auto* set = new icu::UnicodeSet("[:age=9.0:]", status);
    check(status, "make a set");
    return set->freeze();
  }();
  static const std::array<icu::FilteredNormalizer2, 4> all = {
      icu::FilteredNormalizer2(base_normalizer(NormalForm::kNfc), *known),
      icu::FilteredNormalizer2(base_normalizer(NormalForm::kNfd), *known),
      icu::FilteredNormalizer2(base_normalizer(NormalForm::kNfkc), *known),
      icu::FilteredNormalizer2(base_normalizer(NormalForm::kNfkd), *known),
  };
  return all[static_cast<size_t>(form)];
}

/// Lower case that Unicode 15.1 to 17 added, as runs with one distance.
struct NewLowercase {
  char32_t first, last, lower;
};
constexpr NewLowercase kNewLowercaseRuns[] = {
    {0x1C89, 0x1C89, 0x1C8A},    {0xA7CB, 0xA7CB, 0x264},  {0xA7CC, 0xA7CC, 0xA7CD},
    {0xA7CE, 0xA7CE, 0xA7CF},    {0xA7D2, 0xA7D2, 0xA7D3}, {0xA7D4, 0xA7D4, 0xA7D5},
    {0xA7DA, 0xA7DA, 0xA7DB},    {0xA7DC, 0xA7DC, 0x19B},  {0x10D50, 0x10D65, 0x10D70},
    {0x16EA0, 0x16EB8, 0x16EBB},
};

}  // namespace

bool is_whitespace(char32_t c) { return u_isUWhiteSpace(icu_point(c)); }

bool is_word(char32_t c) {
  if (c < 0x80) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  }
  const std::string_view young = new_category(c);
  if (!young.empty()) return young[0] == 'L' || young[0] == 'M' || young == "Nd" || young == "Nl";
  return u_isUAlphabetic(icu_point(c)) || c == 0x200C || c == 0x200D ||
         (category_mask(c) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0;
}

bool is_numeric(char32_t c) {
  const bool unicode_17 = (c >= 0x11DE0 && c <= 0x11DE9) || (c >= 0x16FF4 && c <= 0x16FF6);
  return (category_mask(c) & U_GC_N_MASK) != 0 || unicode_17 || new_category(c).starts_with('N');
}

bool is_punctuation(char32_t c) {
  if (c < 0x80) {
    return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
           (c >= 123 && c <= 126);
  }
  if (c == 0x166D || c == 0x111C9) return true;  // their categories changed after Unicode 8
  return (category_mask(c) & U_GC_P_MASK) != 0 && assigned_by(c, 8);
}

bool is_control(char32_t c) {
  return (category_mask(c) & (U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK)) != 0 &&
         assigned_by(c, 8);
}

bool is_nonspacing_mark(char32_t c) {
  if (c == 0x1734) return true;  // changed after Unicode 8, as those below
  if (c == 0x1885 || c == 0x1886 || c == 0xA9BD || c == 0x111C9) return false;
  return (category_mask(c) & U_GC_MN_MASK) != 0 && assigned_by(c, 8);
}

bool is_combining_mark(char32_t c) {
  if (c == 0x1CF2 || c == 0x1CF3) return true;  // changed after Unicode 9, as the next
  return (category_mask(c) & U_GC_M_MASK) != 0 && c != 0x111C9 && assigned_by(c, 9);
}

bool is_chinese(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

void append_lowercase(std::string& text, char32_t c) {
  if (c == 0x130) {  // the only code point whose lower case is two
    text += "i\u0307";
    return;
  }
  for (const NewLowercase& run : kNewLowercaseRuns) {
    if (c >= run.first && c <= run.last) return append_utf8(text, c - run.first + run.lower);
  }
  append_utf8(text, static_cast<char32_t>(u_tolower(icu_point(c))));
}

std::string normal_form(std::string_view text, NormalForm form) {
  UErrorCode status = U_ZERO_ERROR;
  std::string normal;
  icu::StringByteSink<std::string> sink(&normal, static_cast<int32_t>(text.size()));
  normalizer(form).normalizeUTF8(
      0, icu::StringPiece(text.data(), static_cast<int32_t>(text.size())), sink, nullptr, status);
  check(status, "normalize");
  return normal;
}

int script_class(char32_t c) {
  if (c == ' ' || !assigned_by(c, 9)) return kAnyScript;
  if (c == 0x30FC) return USCRIPT_HAN;
  if (c == 0x953 || c == 0x954) return USCRIPT_DEVANAGARI;  // changed after Unicode 9, as the next
  if (c == 0x589 || c == 0x61C) return USCRIPT_COMMON;
  UErrorCode status = U_ZERO_ERROR;
  const UScriptCode script = uscript_getScript(icu_point(c), &status);
  if (script == USCRIPT_UNKNOWN) return kAnyScript;
  return script == USCRIPT_HIRAGANA || script == USCRIPT_KATAKANA ? USCRIPT_HAN : script;
}

void for_each_grapheme(std::string_view text,
                       void (*visit)(void* context, std::string_view cluster), void* context) {
  UErrorCode status = U_ZERO_ERROR;
  UText* bytes = utext_openUTF8(nullptr, text.data(), static_cast<int64_t>(text.size()), &status);
  const std::unique_ptr<UText, UText* (*)(UText*)> close_text(bytes, utext_close);
  UBreakIterator* breaks = ubrk_open(UBRK_CHARACTER, "en", nullptr, 0, &status);
  const std::unique_ptr<UBreakIterator, void (*)(UBreakIterator*)> close_breaks(breaks, ubrk_close);
  if (U_SUCCESS(status)) ubrk_setUText(breaks, bytes, &status);
  check(status, "find characters");
  int32_t start = ubrk_first(breaks);
  for (int32_t end = ubrk_next(breaks); end != UBRK_DONE; start = end, end = ubrk_next(breaks)) {
    visit(context, text.substr(static_cast<size_t>(start), static_cast<size_t>(end - start)));
  }
}

}  // namespace laconic::tokenizer
