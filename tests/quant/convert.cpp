// laconic_convert QUANTIZER NUMBERS CODES ELEMENTS: the elements (float32) and their codes (int32)
// of a file of float32 numbers. Compared with another implementation by
// tests/quant/compare_floats.py.
#include <ATen/ATen.h>

#include <cstdio>
#include <fstream>
#include <iterator>

#include "laconic/quant/quantizer/formula.h"
#include "laconic/quant/quantizer/yaml.h"

namespace laconic {
namespace {

at::Tensor read_numbers(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const auto count = static_cast<int64_t>(bytes.size() / sizeof(float));
  return at::from_blob(const_cast<char*>(bytes.data()), {count}, at::kFloat).clone();
}

void write(const char* path, const at::Tensor& numbers) {
  std::ofstream(path, std::ios::binary)
      .write(static_cast<const char*>(numbers.const_data_ptr()),
             static_cast<std::streamsize>(numbers.nbytes()));
}

void convert(char** arguments) {
  const QuantSpec spec = quant_spec_from_yaml(arguments[1], "QUANTIZER");
  const at::Tensor real = read_numbers(arguments[2]);
  const at::Tensor elements =
      elements_of_real(spec.format, real, {bounds_like(spec.format, real), spec.rounding});
  write(arguments[3], encode(spec.format, elements).to(at::kInt).contiguous());
  write(arguments[4], elements.contiguous());
}

}  // namespace
}  // namespace laconic

int main(int count, char** arguments) {
  if (count != 5) {
    std::fputs("usage: laconic_convert QUANTIZER NUMBERS CODES ELEMENTS\n", stderr);
    return 2;
  }
  try {
    laconic::convert(arguments);
    return 0;
  } catch (const c10::Error& error) {
    std::fprintf(stderr, "%s\n", error.what_without_backtrace());
    return 1;
  }
}
