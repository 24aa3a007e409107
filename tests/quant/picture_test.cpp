#include "laconic/quant/picture/picture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <sstream>

#include "laconic/quant/picture/gallery.h"
#include "laconic/quant/quantizer/yaml.h"
#include "tests/testing/testing.h"

namespace laconic {
namespace {

std::string drawn(const std::string& yaml) { return picture(quant_spec_from_yaml(yaml, "test")); }

/// Heights on the page of the horizontal pieces of the curve of this colour.
std::set<std::string> steps(const std::string& svg, const std::string& colour) {
  const auto start = svg.find("points=", svg.find("stroke=\"" + colour)) + 8;
  std::istringstream points(svg.substr(start, svg.find('"', start) - start));
  std::set<std::string> found;
  std::string last;
  for (std::string point; points >> point;) {
    const std::string height = point.substr(point.find(',') + 1);
    if (height == last) found.insert(height);
    last = height;
  }
  return found;
}

TEST(Picture, AStaircaseHasAStepForEachElement) {
  EXPECT_EQ(steps(drawn("{bits: 3}"), "#06c").size(), 7u);  // from -3 to 3: -4 is not reached
  EXPECT_EQ(steps(drawn("{format: ternary}"), "#06c").size(), 3u);
  EXPECT_EQ(steps(drawn("{format: nf4}"), "#06c").size(), 16u);
}

TEST(Picture, TheGradientOfClippingIsInThePicture) {
  const std::string straight = drawn("{bits: 3, scale: constant, value: 0.5}");
  const std::string clipped = drawn("{bits: 3, scale: constant, value: 0.5, gradient: clipped}");
  EXPECT_EQ(steps(straight, "#292").size(), 1u);
  EXPECT_EQ(steps(clipped, "#292").size(), 2u);
}

TEST(Picture, ItIsTheSameEachTime) {
  EXPECT_EQ(drawn("{bits: 3, rounding: stochastic}"), drawn("{bits: 3, rounding: stochastic}"));
}

TEST(Gallery, EveryIllustrationIsDrawnAndLiesInTheDocumentation) {
  std::set<std::string> names, files;
  for (const Illustration& each : illustrations()) {
    SCOPED_TRACE(each.name);
    EXPECT_THAT(drawn(each.yaml), ::testing::HasSubstr("</svg>"));
    EXPECT_TRUE(names.insert(each.name + ".svg").second);
  }
  const auto folder = testing::repository() / "docs/pictures";
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    files.insert(entry.path().filename());
  EXPECT_EQ(names, files);
}

}  // namespace
}  // namespace laconic
