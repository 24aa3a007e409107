#include "laconic/load/tokenizer/decoder/decoder.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "laconic/base/text.h"
#include "laconic/load/tokenizer/regex/regex.h"
#include "laconic/load/tokenizer/text/utf8.h"

namespace laconic::tokenizer {
namespace {

using Tokens = std::vector<std::string>;

void fuse(Tokens& tokens) { tokens = {join(tokens, "")}; }

Decoder make_fuse(const JsonField&) { return fuse; }

Decoder make_byte_level(const JsonField&) {
  return [](Tokens& tokens) {
    std::string bytes;
    for (const std::string& token : tokens) {
      if (!append_from_byte_alphabet(bytes, token)) bytes += token;  // an added token
    }
    tokens = {lossy_utf8(bytes)};
  };
}

// The byte of "<0x41>", or -1.
int byte_of(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  int byte = 0;
  for (const char c : token.substr(3, 2)) {
    const auto digit = static_cast<unsigned char>(c);
    if (std::isxdigit(digit) == 0) return -1;
    byte = byte * 16 + (std::isdigit(digit) != 0 ? c - '0' : std::tolower(digit) - 'a' + 10);
  }
  return byte;
}

// Bytes in a row that are no UTF-8 become one U+FFFD each.
void flush_bytes(std::string& bytes, Tokens& output) {
  if (bytes.empty()) return;
  if (is_utf8(bytes)) {
    output.push_back(bytes);
  } else {
    output.insert(output.end(), bytes.size(), "\uFFFD");
  }
  bytes.clear();
}

Decoder make_byte_fallback(const JsonField&) {
  return [](Tokens& tokens) {
    Tokens output;
    std::string bytes;
    for (std::string& token : tokens) {
      if (const int byte = byte_of(token); byte >= 0) {
        bytes.push_back(static_cast<char>(byte));
      } else {
        flush_bytes(bytes, output);
        output.push_back(std::move(token));
      }
    }
    flush_bytes(bytes, output);
    tokens = std::move(output);
  };
}

// Spaces that splitting put before punctuation and short forms.
std::string clean_up(std::string text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kRules = {{
      {" .", "."},
      {" ?", "?"},
      {" !", "!"},
      {" ,", ","},
      {" ' ", "'"},
      {" n't", "n't"},
      {" 'm", "'m"},
      {" do not", " don't"},
      {" 's", "'s"},
      {" 've", "'ve"},
      {" 're", "'re"},
  }};
  for (const auto& [from, to] : kRules) text = replace_all(text, from, to);
  return text;
}

Decoder make_word_piece(const JsonField& field) {
  return [prefix = field.at("prefix").string(),
          clean = field.at("cleanup").boolean()](Tokens& tokens) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      std::string& token = tokens[i];
      if (i > 0) token = token.starts_with(prefix) ? token.substr(prefix.size()) : " " + token;
      if (clean) token = clean_up(std::move(token));
    }
  };
}

Decoder make_metaspace(const JsonField& field) {
  std::string mark;
  append_utf8(mark, field.at("replacement").character());
  const bool never = field.string_or("prepend_scheme", "always") == "never";
  return [mark, never](Tokens& tokens) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      tokens[i] = replace_all(tokens[i], mark, i == 0 && !never ? "" : " ");
    }
  };
}

Decoder make_bpe(const JsonField& field) {
  return [suffix = field.at("suffix").string()](Tokens& tokens) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      tokens[i] = replace_all(tokens[i], suffix, i + 1 < tokens.size() ? " " : "");
    }
  };
}

Decoder make_ctc(const JsonField& field) {
  return [pad = field.at("pad_token").string(), word = field.at("word_delimiter_token").string(),
          clean = field.at("cleanup").boolean()](Tokens& tokens) {
    tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
    for (std::string& token : tokens) {
      token = replace_all(token, pad, "");
      if (clean) token = replace_all(clean_up(std::move(token)), word, " ");
    }
    std::erase_if(tokens, [](const std::string& token) { return token.empty(); });
  };
}

Decoder make_replace(const JsonField& field) {
  return [pattern = Pattern::read(field.at("pattern")),
          content = field.at("content").string()](Tokens& tokens) {
    for (std::string& token : tokens) {
      std::string replaced;
      for (const Span& span : pattern.find(token)) {
        replaced += span.is_match ? content : token.substr(span.begin, span.end - span.begin);
      }
      token = std::move(replaced);
    }
  };
}

void strip(std::string& token, std::string_view mark, int64_t start, int64_t stop) {
  std::string_view kept = token;
  for (int64_t i = 0; i < start && kept.starts_with(mark); ++i) kept.remove_prefix(mark.size());
  for (int64_t i = 0; i < stop && kept.ends_with(mark); ++i) kept.remove_suffix(mark.size());
  token = std::string(kept);
}

Decoder make_strip(const JsonField& field) {
  std::string mark;
  append_utf8(mark, field.at("content").character());
  return [mark, start = field.at("start").integer(0, INT64_MAX),
          stop = field.at("stop").integer(0, INT64_MAX)](Tokens& tokens) {
    for (std::string& token : tokens) strip(token, mark, start, stop);
  };
}

Decoder make_sequence(const JsonField& field) {
  std::vector<Decoder> parts;
  for (const JsonField& part : field.at("decoders").items()) parts.push_back(make_decoder(part));
  return [parts](Tokens& tokens) {
    for (const Decoder& part : parts) part(tokens);
  };
}

constexpr Kind<Decoder> kKinds[] = {
    {"Sequence", make_sequence},
    {"ByteLevel", make_byte_level},
    {"WordPiece", make_word_piece},
    {"ByteFallback", make_byte_fallback},
    {"Fuse", make_fuse},
    {"Strip", make_strip},
    {"Replace", make_replace},
    {"Metaspace", make_metaspace},
    {"BPEDecoder", make_bpe},
    {"CTC", make_ctc},
};

}  // namespace

Decoder make_decoder(const JsonField& field) { return make_part(field, "decoder", kKinds); }

}  // namespace laconic::tokenizer
