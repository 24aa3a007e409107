#include "laconic/calibrate/npy.h"

#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include <charconv>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "laconic/base/mapped_file.h"

namespace laconic {
namespace {

struct Header {
  std::string type;  ///< "<i4" or "<i8"
  bool fortran_order = false;
  std::vector<int64_t> shape;
};

/// The dictionary of a header: {'descr': '<i4', 'fortran_order': False, 'shape': (3, 4), }. A
/// grammar of its own, as small as the format.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  Header parse() {
    Header header;
    int seen = 0;
    expect('{');
    while (!take('}')) {
      const std::string key = quoted();
      expect(':');
      seen |= value(key, header);
      take(',');
    }
    TORCH_CHECK_VALUE(seen == 7, where_,
                      ": expected the header fields descr, fortran_order and shape.");
    return header;
  }

 private:
  int value(const std::string& key, Header& header) {
    if (key == "descr") {
      header.type = quoted();
      return 1;
    }
    if (key == "fortran_order") {
      header.fortran_order = word("True");
      if (!header.fortran_order && !word("False")) fail("True or False");
      return 2;
    }
    TORCH_CHECK_VALUE(key == "shape", where_, ": unknown header field \"", key, "\".");
    header.shape = tuple();
    return 4;
  }
  std::vector<int64_t> tuple() {
    std::vector<int64_t> numbers;
    expect('(');
    while (!take(')')) {
      skip_space();
      int64_t number = -1;
      const auto [end, error] =
          std::from_chars(text_.data() + at_, text_.data() + text_.size(), number);
      if (error != std::errc() || number < 0 || numbers.size() >= 8) fail("a size");
      at_ = static_cast<size_t>(end - text_.data());
      numbers.push_back(number);
      take(',');
    }
    return numbers;
  }
  std::string quoted() {
    skip_space();
    const char quote = at_ < text_.size() ? text_[at_] : ' ';
    if (quote != '\'' && quote != '"') fail("a quoted word");
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("a closing quote");
    const std::string word(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return word;
  }
  bool word(std::string_view expected) {
    skip_space();
    if (text_.substr(at_, expected.size()) != expected) return false;
    at_ += expected.size();
    return true;
  }
  bool take(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail(std::string(1, c));
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t'))
      ++at_;
  }
  [[noreturn]] void fail(const std::string& expected) {
    TORCH_CHECK_VALUE(false, where_, ": malformed header at byte ", at_, " of it: expected ",
                      expected, ".");
  }

  std::string_view text_;
  std::string where_;
  size_t at_ = 0;
};

/// [offset, length] of the header's text.
std::pair<size_t, size_t> header_range(std::string_view bytes, const std::string& where) {
  TORCH_CHECK_VALUE(bytes.size() >= 12 && bytes.substr(0, 6) == std::string_view("\x93NUMPY", 6),
                    where, ": expected a NumPy file (it starts with \\x93NUMPY).");
  const auto byte = [&](size_t i) {
    return static_cast<size_t>(static_cast<unsigned char>(bytes[i]));
  };
  const size_t version = byte(6);
  TORCH_CHECK_VALUE(version >= 1 && version <= 3, where, ": expected format version 1 to 3, got ",
                    version, ".");
  const size_t start = version == 1 ? 10 : 12;
  size_t length = byte(8) | byte(9) << 8;
  if (version > 1) length |= byte(10) << 16 | byte(11) << 24;
  TORCH_CHECK_VALUE(length <= bytes.size() - start && length <= (1 << 20), where,
                    ": the header says ", length, " bytes, the file has ", bytes.size() - start,
                    " after its start.");
  return {start, length};
}

}  // namespace

at::Tensor read_npy_ids(const std::filesystem::path& path) {
  const std::string where = "[npy] " + path.string();
  const auto file = MappedFile::open(path);
  const std::string_view bytes(reinterpret_cast<const char*>(file->bytes().data()),
                               file->bytes().size());
  const auto [start, length] = header_range(bytes, where);
  const Header header = HeaderParser(bytes.substr(start, length), where).parse();
  const bool wide = header.type == "<i8";
  TORCH_CHECK_VALUE(wide || header.type == "<i4", where,
                    ": expected token ids as int32 or int64 (<i4, <i8), got \"", header.type,
                    "\". Save with numpy.save(path, ids.astype(\"int64\")).");
  TORCH_CHECK_VALUE(!header.fortran_order, where, ": expected C order, got Fortran order.");
  TORCH_CHECK_VALUE(header.shape.size() == 1 || header.shape.size() == 2, where,
                    ": expected ids [tokens] or [rows, tokens], got ", header.shape.size(),
                    " dimensions.");
  const uint64_t item = wide ? 8 : 4, available = (bytes.size() - start - length) / item;
  uint64_t count = 1;
  for (const int64_t size : header.shape) {
    // Sizes are below 2^63 and the file is not: no product overflows before it is refused.
    TORCH_CHECK_VALUE(size == 0 || count <= available / static_cast<uint64_t>(size), where,
                      ": the shape asks for more than the ", available,
                      " numbers that the file holds.");
    count *= static_cast<uint64_t>(size);
  }
  at::Tensor ids = at::empty(header.shape, at::TensorOptions(wide ? at::kLong : at::kInt));
  std::memcpy(ids.mutable_data_ptr(), bytes.data() + start + length, count * item);
  return ids.to(at::kLong);
}

}  // namespace laconic
