#include "laconic/base/hash.h"

#include <fstream>
#include <set>

#include "tests/testing/testing.h"

namespace laconic {
namespace {

std::string of(const std::vector<std::string>& parts) {
  Fingerprint fingerprint;
  for (const std::string& part : parts) fingerprint.add(part);
  return fingerprint.text();
}

TEST(Fingerprint, EqualInputsAreEqualAndEachChangedByteOrBorderShows) {
  EXPECT_EQ(of({"abc", "d"}), of({"abc", "d"}));
  std::set<std::string> seen = {of({"abc", "d"}), of({"ab", "cd"}), of({"abcd"}), of({"d", "abc"}),
                                of({"abc", "d", ""})};
  EXPECT_EQ(seen.size(), 5u);
  std::string text(1000, 'x');
  seen.clear();
  for (char& letter : text) {
    letter = 'y';
    seen.insert(of({text}));
    letter = 'x';
  }
  EXPECT_EQ(seen.size(), 1000u);
}

TEST(Fingerprint, FileCountsByItsContents) {
  const testing::TemporaryDirectory directory;
  std::ofstream(directory / "a") << "same";
  std::ofstream(directory / "b") << "same";
  std::ofstream(directory / "c") << "Same";
  const auto of_file = [&](const std::string& name) {
    Fingerprint fingerprint;
    fingerprint.add_file(directory / name);
    return fingerprint.text();
  };
  EXPECT_EQ(of_file("a"), of_file("b"));
  EXPECT_NE(of_file("a"), of_file("c"));
}

}  // namespace
}  // namespace laconic
