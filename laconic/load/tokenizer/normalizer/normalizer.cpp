#include "laconic/load/tokenizer/normalizer/normalizer.h"

#include <vector>

#include "laconic/load/tokenizer/regex/regex.h"
#include "laconic/load/tokenizer/text/unicode.h"
#include "laconic/load/tokenizer/text/utf8.h"

namespace laconic::tokenizer {
namespace {

/// Keeps the code points for which `keep` holds.
template <typename Keep>
void filter(Text& text, Keep keep) {
  std::string kept;
  kept.reserve(text.text.size());
  for (size_t at = 0; at < text.text.size();) {
    const CodePoint point = code_point_at(text.text, at);
    if (keep(point.value)) {
      kept.append(text.text, at, point.length);
    } else if (at == 0) {
      text.at_start = false;
    }
    at += point.length;
  }
  text.text = std::move(kept);
}

/// Writes each code point anew: `write(std::string& output, char32_t c)`.
template <typename Write>
void rewrite(Text& text, Write write) {
  std::string written;
  written.reserve(text.text.size() + text.text.size() / 8);
  for (size_t at = 0; at < text.text.size();) {
    const CodePoint point = code_point_at(text.text, at);
    write(written, point.value);
    at += point.length;
  }
  text.text = std::move(written);
}

template <NormalForm kForm>
Normalizer make_normal_form(const JsonField&) {
  return [](Text& text) { text.text = normal_form(text.text, kForm); };
}

Normalizer make_lowercase(const JsonField&) {
  return [](Text& text) { rewrite(text, append_lowercase); };
}

void strip(Text& text, bool left, bool right) {
  size_t begin = 0, end = text.text.size();
  while (left && begin < end) {
    const CodePoint point = code_point_at(text.text, begin);
    if (!is_whitespace(point.value)) break;
    begin += point.length;
  }
  while (right && end > begin) {
    const CodePoint point = code_point_before(text.text, end);
    if (!is_whitespace(point.value)) break;
    end -= point.length;
  }
  if (begin > 0) text.at_start = false;
  text.text = text.text.substr(begin, end - begin);
}

Normalizer make_strip(const JsonField& field) {
  const bool left = field.at("strip_left").boolean();
  const bool right = field.at("strip_right").boolean();
  return [left, right](Text& text) { strip(text, left, right); };
}

Normalizer make_strip_accents(const JsonField&) {
  return [](Text& text) { filter(text, [](char32_t c) { return !is_combining_mark(c); }); };
}

Normalizer make_prepend(const JsonField& field) {
  return [prefix = field.at("prepend").string()](Text& text) {
    if (!text.text.empty()) text.text.insert(0, prefix);
  };
}

void replace(Text& text, const Pattern& pattern, const std::string& content) {
  std::string replaced;
  replaced.reserve(text.text.size());
  for (const Span& span : pattern.find(text.text)) {
    const auto part = std::string_view(text.text).substr(span.begin, span.end - span.begin);
    replaced += span.is_match ? std::string_view(content) : part;
    // What is put in belongs to the last character that was taken out.
    const bool leaves_start = span.is_match && span.begin == 0 && !part.empty() &&
                              (content.empty() || count_code_points(part) > 1);
    if (leaves_start) text.at_start = false;
  }
  text.text = std::move(replaced);
}

Normalizer make_replace(const JsonField& field) {
  return [pattern = Pattern::read(field.at("pattern")),
          content = field.at("content").string()](Text& text) { replace(text, pattern, content); };
}

Normalizer make_byte_level(const JsonField&) {
  return [](Text& text) { text.text = to_byte_alphabet(text.text); };
}

Normalizer make_bert(const JsonField& field) {
  const bool clean = field.at("clean_text").boolean();
  const bool chinese = field.at("handle_chinese_chars").boolean();
  const bool lower = field.at("lowercase").boolean();
  const bool accents = field.boolean_or("strip_accents", lower);  // null: as lowercase says
  return [=](Text& text) {
    if (clean) {
      filter(text, [](char32_t c) {
        const bool kept_control = c == '\t' || c == '\n' || c == '\r';
        return kept_control || (c != 0 && c != 0xFFFD && !is_control(c));
      });
      rewrite(text,
              [](std::string& out, char32_t c) { append_utf8(out, is_whitespace(c) ? U' ' : c); });
    }
    if (chinese) {
      rewrite(text, [](std::string& out, char32_t c) {
        if (is_chinese(c)) out += ' ';
        append_utf8(out, c);
        if (is_chinese(c)) out += ' ';
      });
    }
    if (accents) {
      text.text = normal_form(text.text, NormalForm::kNfd);
      filter(text, [](char32_t c) { return !is_nonspacing_mark(c); });
    }
    if (lower) rewrite(text, append_lowercase);
  };
}

bool nmt_drops(char32_t c) {
  return (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F ||
         c == 0x8F || c == 0x9F;
}

bool nmt_reads_as_space(char32_t c) {
  return c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
         (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF ||
         c == 0xFFFD;
}

Normalizer make_nmt(const JsonField&) {
  return [](Text& text) {
    filter(text, [](char32_t c) { return !nmt_drops(c); });
    rewrite(text, [](std::string& out, char32_t c) {
      append_utf8(out, nmt_reads_as_space(c) ? U' ' : c);
    });
  };
}

Normalizer make_sequence(const JsonField& field) {
  std::vector<Normalizer> parts;
  for (const JsonField& part : field.at("normalizers").items())
    parts.push_back(make_normalizer(part));
  return [parts](Text& text) {
    for (const Normalizer& part : parts) part(text);
  };
}

constexpr Kind<Normalizer> kKinds[] = {
    {"Sequence", make_sequence},
    {"NFC", make_normal_form<NormalForm::kNfc>},
    {"NFD", make_normal_form<NormalForm::kNfd>},
    {"NFKC", make_normal_form<NormalForm::kNfkc>},
    {"NFKD", make_normal_form<NormalForm::kNfkd>},
    {"Lowercase", make_lowercase},
    {"Strip", make_strip},
    {"StripAccents", make_strip_accents},
    {"Prepend", make_prepend},
    {"Replace", make_replace},
    {"BertNormalizer", make_bert},
    {"Nmt", make_nmt},
    {"Precompiled", make_precompiled},
    {"ByteLevel", make_byte_level},
};

}  // namespace

Normalizer make_normalizer(const JsonField& field) {
  return make_part(field, "normalizer", kKinds);
}

}  // namespace laconic::tokenizer
