#include "laconic/load/tokenizer/model/merges.h"

#include <algorithm>

namespace laconic::tokenizer {
namespace {

struct Symbol {
  int64_t id;
  int32_t previous, next;  // -1 at the ends
  bool alive;
};

struct Candidate {
  uint32_t rank;
  int32_t position;
  int64_t id;
};

// The heap of the standard library has its largest element on top.
bool comes_later(const Candidate& a, const Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

class Joiner {
 public:
  Joiner(const Merges& merges, const std::vector<int64_t>& ids) : merges_(merges) {
    symbols_.reserve(ids.size());
    const auto count = static_cast<int32_t>(ids.size());
    for (int32_t i = 0; i < count; ++i) {
      symbols_.push_back({ids[static_cast<size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1, true});
    }
    for (int32_t i = 0; i + 1 < count; ++i) collect(i);
    std::make_heap(heap_.begin(), heap_.end(), comes_later);
  }

  void run() {
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), comes_later);
      const Candidate top = heap_.back();
      heap_.pop_back();
      if (still_stands(top)) join(top);
    }
  }

  void write(std::vector<int64_t>& ids) const {
    ids.clear();
    for (const Symbol& symbol : symbols_) {
      if (symbol.alive) ids.push_back(symbol.id);
    }
  }

 private:
  Symbol& at(int32_t position) { return symbols_[static_cast<size_t>(position)]; }

  bool collect(int32_t position) {
    const Symbol& left = at(position);
    if (left.next < 0) return false;
    const Merges::Result* merge = merges_.find(left.id, at(left.next).id);
    if (merge != nullptr) heap_.push_back({merge->rank, position, merge->id});
    return merge != nullptr;
  }
  void push(int32_t position) {
    if (position >= 0 && collect(position)) std::push_heap(heap_.begin(), heap_.end(), comes_later);
  }

  // The pair may have changed since the candidate was made.
  bool still_stands(const Candidate& top) {
    const Symbol& left = at(top.position);
    if (!left.alive || left.next < 0) return false;
    const Merges::Result* merge = merges_.find(left.id, at(left.next).id);
    return merge != nullptr && merge->id == top.id;
  }

  void join(const Candidate& top) {
    Symbol& left = at(top.position);
    Symbol& right = at(left.next);
    left.id = top.id;
    right.alive = false;
    left.next = right.next;
    if (left.next >= 0) at(left.next).previous = top.position;
    push(left.previous);
    push(top.position);
  }

  const Merges& merges_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
};

}  // namespace

void Merges::apply(std::vector<int64_t>& ids) const {
  if (ids.size() < 2) return;
  Joiner joiner(*this, ids);
  joiner.run();
  joiner.write(ids);
}

}  // namespace laconic::tokenizer
