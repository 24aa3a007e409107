#include "laconic/processes/processes.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>

namespace laconic {
namespace {

at::Tensor bytes_of(const std::string& text) {
  at::Tensor bytes = at::empty({static_cast<int64_t>(text.size())}, at::kByte);
  if (!text.empty()) std::memcpy(bytes.mutable_data_ptr(), text.data(), text.size());
  return bytes;
}

std::string text_of(const at::Tensor& bytes) {
  const at::Tensor whole = bytes.contiguous();
  if (whole.numel() == 0) return {};
  return {static_cast<const char*>(whole.const_data_ptr()), static_cast<size_t>(whole.numel())};
}

at::Tensor numbers_of(const std::vector<int64_t>& numbers) {
  at::Tensor all = at::empty({static_cast<int64_t>(numbers.size())}, at::kLong);
  std::copy(numbers.begin(), numbers.end(), all.mutable_data_ptr<int64_t>());
  return all;
}

std::vector<int64_t> share_numbers(Processes& processes, const std::vector<int64_t>& numbers,
                                   int64_t from) {
  at::Tensor count = numbers_of({static_cast<int64_t>(numbers.size())});
  processes.broadcast(count, from);
  at::Tensor all = at::zeros({count.item<int64_t>()}, at::kLong);
  if (processes.rank() == from) all = numbers_of(numbers);
  if (all.numel() > 0) processes.broadcast(all, from);
  const int64_t* first = all.const_data_ptr<int64_t>();
  return {first, first + all.numel()};
}

/// For each tensor whether it is defined, then its dtype, rank and sizes.
std::vector<int64_t> describe_tensors(const std::vector<at::Tensor>& tensors) {
  std::vector<int64_t> words{static_cast<int64_t>(tensors.size())};
  for (const at::Tensor& tensor : tensors) {
    words.push_back(tensor.defined() ? 1 : 0);
    if (!tensor.defined()) continue;
    words.push_back(static_cast<int64_t>(tensor.scalar_type()));
    words.push_back(tensor.dim());
    words.insert(words.end(), tensor.sizes().begin(), tensor.sizes().end());
  }
  return words;
}

}  // namespace

std::vector<at::Tensor> gather_any(Processes& processes, const at::Tensor& numbers) {
  const auto lengths = processes.gather(numbers_of({numbers.numel()}));
  int64_t longest = 0;
  for (const at::Tensor& length : lengths) longest = std::max(longest, length.item<int64_t>());
  if (longest == 0) return std::vector<at::Tensor>(lengths.size(), numbers);
  at::Tensor padded = at::zeros({longest}, numbers.options());
  padded.narrow(0, 0, numbers.numel()).copy_(numbers);
  std::vector<at::Tensor> all = processes.gather(padded);
  for (size_t i = 0; i < all.size(); ++i) all[i] = all[i].narrow(0, 0, lengths[i].item<int64_t>());
  return all;
}

std::vector<std::string> gather_text(Processes& processes, const std::string& text) {
  std::vector<std::string> texts;
  for (const at::Tensor& bytes : gather_any(processes, bytes_of(text)))
    texts.push_back(text_of(bytes));
  return texts;
}

std::string share_text(Processes& processes, const std::string& text, int64_t from) {
  return text_of(share_tensors(processes, {bytes_of(text)}, from).front());
}

std::vector<at::Tensor> share_tensors(Processes& processes, const std::vector<at::Tensor>& tensors,
                                      int64_t from, at::Device device) {
  const bool is_mine = processes.rank() == from;
  const auto words =
      share_numbers(processes, is_mine ? describe_tensors(tensors) : std::vector<int64_t>(), from);
  auto word = words.begin();
  std::vector<at::Tensor> shared(static_cast<size_t>(*word++));
  for (size_t i = 0; i < shared.size(); ++i) {
    if (*word++ == 0) continue;
    const auto dtype = static_cast<at::ScalarType>(*word++);
    const int64_t rank = *word++;
    const std::vector<int64_t> sizes(word, word + rank);
    word += rank;
    shared[i] = is_mine ? tensors[i].detach().to(device).contiguous()
                        : at::empty(sizes, at::TensorOptions(dtype).device(device));
    if (shared[i].numel() == 0) continue;
    at::Tensor bytes = shared[i].view(-1).view(at::kByte);  // of every dtype
    processes.broadcast(bytes, from);
  }
  return shared;
}

Share share_of(int64_t count, int64_t rank, int64_t size) {
  const int64_t each = count / size, more = count % size;
  const int64_t begin = rank * each + std::min(rank, more);
  return {begin, begin + each + (rank < more ? 1 : 0)};
}

}  // namespace laconic
