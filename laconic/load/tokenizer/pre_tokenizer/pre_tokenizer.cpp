#include "laconic/load/tokenizer/pre_tokenizer/pre_tokenizer.h"

#include <array>
#include <optional>

#include "laconic/load/tokenizer/pre_tokenizer/split.h"
#include "laconic/load/tokenizer/text/unicode.h"

namespace laconic::tokenizer {
namespace {

template <typename Predicate>
PreTokenizer split_characters(Predicate is_delimiter, SplitBehavior behavior) {
  return [=](std::vector<Piece>& pieces) {
    split_pieces(pieces, [&](const Piece& piece, std::vector<Piece>& output) {
      append_spans(output, piece, arrange(find_characters(piece.text, is_delimiter), behavior));
    });
  };
}

PreTokenizer make_byte_level(const JsonField& field) {
  constexpr const char* kWords =
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  const bool prefix = field.at("add_prefix_space").boolean();
  std::optional<Pattern> words;
  if (field.boolean_or("use_regex", true)) words = Pattern::regex(kWords, field.where());
  return [prefix, words](std::vector<Piece>& pieces) {
    split_pieces(pieces, [&](Piece& piece, std::vector<Piece>& output) {
      if (prefix && !piece.text.starts_with(' ')) piece.text.insert(0, " ");
      const size_t first = output.size();
      append_spans(output, piece,
                   words ? words->find(piece.text) : std::vector<Span>{{0, piece.text.size()}});
      for (size_t i = first; i < output.size(); ++i)
        output[i].text = to_byte_alphabet(output[i].text);
    });
  };
}

PreTokenizer make_split(const JsonField& field) {
  const SplitBehavior behavior = read_behavior(field.at("behavior"));
  const bool invert = field.at("invert").boolean();
  return
      [pattern = Pattern::read(field.at("pattern")), behavior, invert](std::vector<Piece>& pieces) {
        split_pieces(pieces, [&](const Piece& piece, std::vector<Piece>& output) {
          std::vector<Span> spans = pattern.find(piece.text);
          for (Span& span : spans) span.is_match ^= invert;
          append_spans(output, piece, arrange(std::move(spans), behavior));
        });
      };
}

// Runs of word characters, and runs of what is neither word nor space.
PreTokenizer make_whitespace(const JsonField&) {
  return [](std::vector<Piece>& pieces) {
    split_pieces(pieces, [](const Piece& piece, std::vector<Piece>& output) {
      std::vector<Span> runs;
      int last = 0;  // 0 a space, 1 a word, 2 other
      for (size_t at = 0; at < piece.text.size();) {
        const CodePoint point = code_point_at(piece.text, at);
        const int kind = is_word(point.value) ? 1 : is_whitespace(point.value) ? 0 : 2;
        if (kind != 0 && kind != last) runs.push_back({at, at, false});
        at += point.length;
        if (kind != 0) runs.back().end = at;
        last = kind;
      }
      append_spans(output, piece, runs);
    });
  };
}

PreTokenizer make_whitespace_split(const JsonField&) {
  return split_characters(is_whitespace, SplitBehavior::kRemoved);
}

PreTokenizer make_bert(const JsonField& field) {
  return [spaces = make_whitespace_split(field),
          marks = split_characters(is_punctuation, SplitBehavior::kIsolated)](
             std::vector<Piece>& pieces) {
    spaces(pieces);
    marks(pieces);
  };
}

enum class PrependScheme { kFirst, kNever, kAlways };

PrependScheme read_prepend_scheme(const JsonField& field) {
  PrependScheme scheme = PrependScheme::kAlways;
  if (const auto name = field.find("prepend_scheme")) {
    if (name->string() == "first")
      scheme = PrependScheme::kFirst;
    else if (name->string() == "never")
      scheme = PrependScheme::kNever;
    else if (name->string() != "always")
      name->fail_unknown("prepend_scheme", {"first", "never", "always"});
  }
  if (const auto old = field.find("add_prefix_space");
      old && !old->boolean() && scheme != PrependScheme::kNever) {
    old->fail("true, or prepend_scheme \"never\"", "The two fields disagree.");
  }
  return scheme;
}

PreTokenizer make_metaspace(const JsonField& field) {
  const char32_t mark = field.at("replacement").character();
  const PrependScheme scheme = read_prepend_scheme(field);
  const bool splits = field.boolean_or("split", true);
  std::string mark_text;
  append_utf8(mark_text, mark);
  return [=](std::vector<Piece>& pieces) {
    split_pieces(pieces, [&](Piece& piece, std::vector<Piece>& output) {
      piece.text = replace_all(piece.text, " ", mark_text);
      const bool wanted =
          scheme == PrependScheme::kAlways || (scheme == PrependScheme::kFirst && piece.at_start);
      if (wanted && !piece.text.starts_with(mark_text)) piece.text.insert(0, mark_text);
      std::vector<Span> spans = {{0, piece.text.size()}};
      if (splits) {
        spans = arrange(find_characters(piece.text, [&](char32_t c) { return c == mark; }),
                        SplitBehavior::kMergedWithNext);
      }
      append_spans(output, piece, spans);
    });
  };
}

PreTokenizer make_digits(const JsonField& field) {
  return split_characters(is_numeric, field.at("individual_digits").boolean()
                                          ? SplitBehavior::kIsolated
                                          : SplitBehavior::kContiguous);
}

PreTokenizer make_punctuation(const JsonField& field) {
  const auto behavior = field.find("behavior");
  return split_characters(is_punctuation,
                          behavior ? read_behavior(*behavior) : SplitBehavior::kIsolated);
}

PreTokenizer make_delimiter(const JsonField& field) {
  const char32_t delimiter = field.at("delimiter").character();
  return split_characters([delimiter](char32_t c) { return c == delimiter; },
                          SplitBehavior::kRemoved);
}

PreTokenizer make_fixed_length(const JsonField& field) {
  const auto given = field.find("length");
  const int64_t length = given ? given->integer(1, INT64_MAX) : 5;
  return [length](std::vector<Piece>& pieces) {
    split_pieces(pieces, [&](const Piece& piece, std::vector<Piece>& output) {
      std::vector<Span> spans;
      int64_t count = 0;
      for (size_t at = 0; at < piece.text.size(); ++count) {
        if (count % length == 0) spans.push_back({at, at, false});
        spans.back().end = at += sequence_length(piece.text[at]);
      }
      append_spans(output, piece, spans);
    });
  };
}

// A new piece starts where the script changes; what comes before the first character of a script is
// dropped.
PreTokenizer make_unicode_scripts(const JsonField&) {
  return [](std::vector<Piece>& pieces) {
    split_pieces(pieces, [](const Piece& piece, std::vector<Piece>& output) {
      std::vector<Span> spans;
      int last = kAnyScript - 1;  // none yet
      for (size_t at = 0; at < piece.text.size();) {
        const CodePoint point = code_point_at(piece.text, at);
        const int script = script_class(point.value);
        if (script != kAnyScript && script != last) spans.push_back({at, at, false});
        if (script != kAnyScript) last = script;
        at += point.length;
        if (!spans.empty()) spans.back().end = at;
      }
      append_spans(output, piece, spans);
    });
  };
}

PreTokenizer make_sequence(const JsonField& field) {
  std::vector<PreTokenizer> parts;
  for (const JsonField& part : field.at("pretokenizers").items())
    parts.push_back(make_pre_tokenizer(part));
  return [parts](std::vector<Piece>& pieces) {
    for (const PreTokenizer& part : parts) part(pieces);
  };
}

constexpr Kind<PreTokenizer> kKinds[] = {
    {"Sequence", make_sequence},
    {"ByteLevel", make_byte_level},
    {"Split", make_split},
    {"Whitespace", make_whitespace},
    {"WhitespaceSplit", make_whitespace_split},
    {"BertPreTokenizer", make_bert},
    {"Metaspace", make_metaspace},
    {"Digits", make_digits},
    {"Punctuation", make_punctuation},
    {"CharDelimiterSplit", make_delimiter},
    {"UnicodeScripts", make_unicode_scripts},
    {"FixedLength", make_fixed_length},
};

}  // namespace

PreTokenizer make_pre_tokenizer(const JsonField& field) {
  return make_part(field, "pre-tokenizer", kKinds);
}

}  // namespace laconic::tokenizer
