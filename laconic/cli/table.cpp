#include "laconic/cli/table.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace laconic {
namespace {

// Letters, not bytes: "±" is one column wide.
size_t width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char byte) {
    return (static_cast<uint8_t>(byte) & 0xC0) != 0x80;
  }));
}

}  // namespace

std::string format_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string text;
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (size_t i = 0; i < rows[r].size(); ++i) {
      const std::string space(widths[i] - width(rows[r][i]), ' ');
      line += (i > 0 ? "  " : "") + (i == 0 ? rows[r][i] + space : space + rows[r][i]);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    if (r > 0) continue;
    for (size_t i = 0; i < widths.size(); ++i)
      text += (i > 0 ? "  " : "") + std::string(widths[i], '-');
    text += "\n";
  }
  return text;
}

std::string fixed(double value, int digits) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

}  // namespace laconic
