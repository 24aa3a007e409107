#include "laconic/runtime/key_value_cache.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "laconic/kernel/pack.h"

namespace laconic {
namespace {

/// Codes that take less than a byte lie side by side, each token's for itself. Another device has
/// no loops that unpack them.
bool is_packed(const QuantSpec& spec, const at::Tensor& codes) {
  return stored_bits(spec.format) < 8 && codes.is_cpu();
}

/// [..., d] codes to [..., ceil(d * bits / 8)] bytes.
at::Tensor packed(const QuantSpec& spec, const at::Tensor& codes) {
  auto shape = codes.sizes().vec();
  const at::Tensor rows = pack_rows(codes.reshape({-1, shape.back()}), stored_bits(spec.format));
  shape.back() = rows.size(1);
  return rows.view(shape);
}

/// Back, as quantize_codes gives them.
at::Tensor unpacked(const QuantSpec& spec, const at::Tensor& bytes, int64_t features) {
  const int64_t bits = stored_bits(spec.format);
  auto shape = bytes.sizes().vec();
  at::Tensor codes = unpack_rows(bytes.reshape({-1, shape.back()}), bits, features);
  shape.back() = features;
  if (!has_negative_codes(spec.format)) return codes.to(at::kByte).view(shape);
  const int64_t sign = int64_t{1} << (bits - 1);
  return codes.bitwise_xor_(sign).sub_(sign).to(at::kChar).view(shape);
}

}  // namespace

void TokenRows::append(const at::Tensor& rows) {
  const int64_t added = rows.size(2), needed = count_ + added;
  if (!memory_.defined() || first_ + needed > memory_.size(2)) {
    auto shape = rows.sizes().vec();
    shape[2] = std::max<int64_t>(needed + needed / 2, 16);
    auto larger = at::empty(shape, rows.options());
    if (count_ > 0) larger.narrow(2, 0, count_).copy_(this->rows());
    memory_ = std::move(larger);
    first_ = 0;
  }
  memory_.narrow(2, first_ + count_, added).copy_(rows);
  count_ = needed;
}

void TokenRows::keep_last(int64_t count) {
  if (count >= count_) return;
  first_ += count_ - count;
  count_ = count;
}

void CachedTensor::append(const at::Tensor& x) {
  if (!kind_.spec || kind_.residual > 0) floats_.append(x);
  if (!kind_.spec) return;
  const auto parameters = find_parameters(*kind_.spec, x);
  const at::Tensor codes = quantize_codes(*kind_.spec, x, parameters);
  features_ = is_packed(*kind_.spec, codes) ? codes.size(-1) : 0;
  codes_.append(features_ > 0 ? packed(*kind_.spec, codes) : codes);
  scale_.append(parameters.scale);
  if (parameters.zero_point.defined()) zero_point_.append(parameters.zero_point);
  if (parameters.choice.defined()) choice_.append(parameters.choice);
}

at::Tensor CachedTensor::quantized() const {
  if (!kind_.spec) return floats_.rows();
  QuantParameters parameters{scale_.rows(), {}};
  if (zero_point_.count() > 0) parameters.zero_point = zero_point_.rows();
  if (choice_.count() > 0) parameters.choice = choice_.rows();
  const at::Tensor codes =
      features_ > 0 ? unpacked(*kind_.spec, codes_.rows(), features_) : codes_.rows();
  return dequantize(*kind_.spec, codes, parameters);
}

at::Tensor CachedTensor::recent(int64_t queries) const {
  if (!kind_.spec) return floats_.rows();
  const at::Tensor far = quantized();
  const int64_t near = std::min(floats_.count(), kind_.residual + queries - 1);
  const at::Tensor last = floats_.rows().narrow(2, floats_.count() - near, near);
  return at::cat({far.narrow(2, 0, far.size(2) - near), last}, 2);
}

void CachedTensor::keep_last(int64_t count) {
  codes_.keep_last(count);
  scale_.keep_last(count);
  zero_point_.keep_last(count);
  choice_.keep_last(count);
  floats_.keep_last(kind_.spec ? std::min(count, kind_.residual) : count);
}

uint64_t CachedTensor::bytes() const {
  return floats_.bytes() + codes_.bytes() + scale_.bytes() + zero_point_.bytes() + choice_.bytes();
}

}  // namespace laconic
