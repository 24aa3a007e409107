#include "laconic/quant/picture/picture.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "laconic/quant/quantizer/quantize.h"

namespace laconic {
namespace {

constexpr int64_t kCount = 1024;
constexpr double kWidth = 360, kMargin = 34, kReach = 3.0;

struct Point {
  double x, y;
};

/// A frame on the page, and the numbers that its lower and upper edge stand for.
struct Panel {
  double top, height, low, high;
  const char* label;
};

// t + 2 t^7 for even t in (-1, 1): plain arithmetic, the same bits on every machine.
at::Tensor sample() {
  const at::Tensor x = at::empty({1, kCount});
  float* out = x.mutable_data_ptr<float>();
  for (int64_t i = 0; i < kCount; ++i) {
    const double t = (2.0 * static_cast<double>(i) + 1) / static_cast<double>(kCount) - 1;
    const double t2 = t * t;
    out[i] = static_cast<float>(t + 2 * t2 * t2 * t2 * t);
  }
  return x;
}

std::vector<Point> points(const at::Tensor& x, const at::Tensor& y) {
  const at::Tensor flat_x = x.detach().reshape({-1}), flat_y = y.detach().reshape({-1});
  std::vector<Point> result;
  result.reserve(static_cast<size_t>(kCount));
  for (int64_t i = 0; i < kCount; ++i)
    result.push_back({flat_x[i].item<double>(), flat_y[i].item<double>()});
  return result;
}

double page_x(double x) { return kMargin + (x + kReach) / (2 * kReach) * (kWidth - kMargin - 8); }

double page_y(const Panel& panel, double y) {
  const double part = std::clamp((y - panel.low) / (panel.high - panel.low), -0.05, 1.05);
  return panel.top + panel.height * (1 - part);
}

template <typename... Numbers>
std::string format(const char* pattern, Numbers... numbers) {
  char text[256];
  std::snprintf(text, sizeof(text), pattern, numbers...);
  return text;
}

// Points on the straight line between their neighbours say nothing.
bool is_straight(const Point& a, const Point& b, const Point& c) {
  const double along = (b.x - a.x) / std::max(c.x - a.x, 1e-9);
  return std::abs(a.y + along * (c.y - a.y) - b.y) < 0.04;
}

std::string polyline(const Panel& panel, const std::vector<Point>& curve, const char* style) {
  std::vector<Point> page;
  for (const Point& point : curve) page.push_back({page_x(point.x), page_y(panel, point.y)});
  std::string text = "<polyline fill=\"none\" " + std::string(style) + " points=\"";
  size_t kept = 0;
  for (size_t i = 0; i < page.size(); ++i) {
    const bool is_end = i == 0 || i + 1 == page.size();
    if (!is_end && is_straight(page[kept], page[i], page[i + 1])) continue;
    kept = i;
    text += format("%.1f,%.1f ", page[i].x, page[i].y);
  }
  return text + "\"/>\n";
}

std::string frame(const Panel& panel) {
  std::string text = format(
      "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" "
      "stroke=\"#bbb\"/>\n",
      page_x(-kReach), panel.top, page_x(kReach) - page_x(-kReach), panel.height);
  for (const double y : {panel.low, 0.0, panel.high}) {
    if (y == panel.low && page_y(panel, y) - page_y(panel, 0) < 9) continue;  // no room for both
    text += format("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>\n", kMargin - 3,
                   page_y(panel, y) + 3, y);
  }
  text += format("<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n",
                 page_x(-kReach), page_x(kReach), page_y(panel, 0), page_y(panel, 0));
  return text +
         format("<text x=\"%.1f\" y=\"%.1f\">%s</text>\n", kMargin, panel.top - 4, panel.label);
}

double largest(const std::vector<Point>& curve) {
  double most = 0;
  for (const Point& point : curve)
    if (std::isfinite(point.y)) most = std::max(most, std::abs(point.y));
  return most;
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '<')
      result += "&lt;";
    else if (c == '&')
      result += "&amp;";
    else
      result += c;
  }
  return result;
}

/// The spec in lines that fit the page, broken between parts.
std::string title(const std::string& text) {
  constexpr size_t kLongest = 62;
  std::string result;
  double y = 13;
  for (size_t start = 0; start < text.size(); y += 12) {
    size_t end = text.size();
    if (end - start > kLongest) {
      const size_t comma = text.rfind(", ", start + kLongest);
      end = comma == std::string::npos || comma < start ? start + kLongest : comma + 2;
    }
    result += format("<text x=\"%.0f\" y=\"%.0f\" font-size=\"10\">", kMargin, y) +
              escaped(text.substr(start, end - start)) + "</text>\n";
    start = end;
  }
  return result;
}

}  // namespace

std::string picture(const QuantSpec& spec) {
  const at::Tensor x = sample();
  QuantParameters parameters = find_parameters(spec, x);
  parameters.scale = parameters.scale.detach();
  const at::Tensor leaf = x.clone().set_requires_grad(true);
  const at::Tensor value = fake_quantize_composed(spec, leaf, parameters);
  at::Tensor gradient = at::zeros_like(x);
  if (value.requires_grad()) {
    value.sum().backward();
    gradient = leaf.grad();
  }
  const auto values = points(x, value), errors = points(x, value.detach() - x);
  const auto slopes = points(x, gradient);
  const double error = std::max(largest(errors), 1e-6), slope = std::max(largest(slopes), 1.0);
  const Panel top{40, 170, -kReach, kReach, "value"};
  const Panel middle{228, 70, -error, error, "value - x"};
  const Panel bottom{316, 50, std::min(0.0, -slope * 0.1), slope * 1.1, "gradient"};
  std::string text = format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"374\" font-size=\"9\" "
      "font-family=\"sans-serif\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
      kWidth);
  text += title(to_string(spec));
  const std::vector<Point> same{{-kReach, -kReach}, {kReach, kReach}};
  text += frame(top) + polyline(top, same, "stroke=\"#bbb\"") +
          polyline(top, values, "stroke=\"#06c\"") + frame(middle) +
          polyline(middle, errors, "stroke=\"#c30\"") + frame(bottom) +
          polyline(bottom, slopes, "stroke=\"#292\"");
  return text + "</svg>\n";
}

}  // namespace laconic
