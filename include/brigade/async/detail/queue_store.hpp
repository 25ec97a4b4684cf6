/// In which order a queue keeps its items. A store is a policy of the queue over it: it knows
/// nothing of waiters, grants or limits.
///
///   push(item), pop()   in, and out in the order of taking
///   put_back(item)      back to where a take finds it first (in a priority queue: of its rank)
///   at(index)           0 is what the next take gets
///   victim(promised)    where the item is that gives way: the oldest one, but not among the first
///                       `promised`, which are on their way to takers; `remove(where)` takes it
///                       out. A number, or what the store likes
///   stays(where, item)  whether that one outranks `item`, and stays
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>
#include <vector>

namespace brigade::detail {

/// A ring that grows to what it has held at most; the queue bounds it.
template <class T>
class ring {
 public:
  ring() = default;
  ring(ring&& other) noexcept
      : slots_(std::exchange(other.slots_, nullptr)),
        mask_(std::exchange(other.mask_, no_room)),
        head_(std::exchange(other.head_, 0)),
        tail_(std::exchange(other.tail_, 0)) {}
  ring& operator=(ring&&) = delete;
  ~ring() {
    while (head_ != tail_) drop_front();
    ::operator delete(slots_, std::align_val_t{alignof(T)});
  }
  [[nodiscard]] std::size_t size() const { return tail_ - head_; }
  [[nodiscard]] const T& at(std::size_t index) const { return *slot(head_ + index); }
  [[nodiscard]] T& at(std::size_t index) { return *slot(head_ + index); }
  // Inline, with the growth by itself: 338 against 370 instructions an item of a pipeline (W5).
  [[gnu::always_inline]] void push_back(T&& value) {
    if (size() == room()) [[unlikely]]
      grow();
    ::new (static_cast<void*>(slot(tail_))) T(std::move(value));
    ++tail_;
  }
  void push_front(T&& value) {
    if (size() == room()) grow();
    ::new (static_cast<void*>(slot(head_ - 1))) T(std::move(value));
    --head_;
  }
  T pop_front() {
    T value = std::move(*slot(head_));
    drop_front();
    return value;
  }
  T pop_back() {
    T value = std::move(*slot(tail_ - 1));
    --tail_;
    slot(tail_)->~T();
    return value;
  }
  /// Takes one out of the middle; those in front of it move up.
  T remove(std::size_t index) {
    T value = std::move(at(index));
    for (; index > 0; --index) {
      at(index).~T();
      ::new (static_cast<void*>(slot(head_ + index))) T(std::move(at(index - 1)));
    }
    drop_front();
    return value;
  }
  /// Of an empty ring: room for so many, which will lie side by side from `at(0)` on.
  void make_room(std::size_t items) {
    std::size_t room = 8;
    while (room < items) room *= 2;
    move_to(room);
  }

 private:
  static constexpr std::size_t no_room = static_cast<std::size_t>(-1);
  [[nodiscard]] std::size_t room() const { return mask_ + 1; }
  [[nodiscard]] T* slot(std::size_t index) const { return slots_ + (index & mask_); }
  [[gnu::noinline]] void grow() { move_to(room() == 0 ? 8 : room() * 2); }
  void drop_front() {
    slot(head_)->~T();
    ++head_;
  }
  void move_to(std::size_t room) {
    auto* slots = static_cast<T*>(::operator new(room * sizeof(T), std::align_val_t{alignof(T)}));
    const std::size_t count = size();
    for (std::size_t i = 0; i < count; ++i) {
      ::new (static_cast<void*>(slots + i)) T(std::move(*slot(head_)));
      drop_front();
    }
    ::operator delete(slots_, std::align_val_t{alignof(T)});
    slots_ = slots;
    mask_ = room - 1;
    head_ = 0;
    tail_ = count;
  }

  T* slots_ = nullptr;
  std::size_t mask_ = no_room;
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
};

/// First in, first out.
template <class T>
class fifo_store {
 public:
  void push(T&& item) { items_.push_back(std::move(item)); }
  T pop() { return items_.pop_front(); }
  void put_back(T&& item) { items_.push_front(std::move(item)); }
  [[nodiscard]] std::size_t size() const { return items_.size(); }
  [[nodiscard]] const T& at(std::size_t index) const { return items_.at(index); }
  [[nodiscard]] std::size_t victim(std::size_t promised) const { return promised; }
  [[nodiscard]] bool stays(std::size_t, const T&) const { return false; }
  T remove(std::size_t index) { return items_.remove(index); }

 private:
  ring<T> items_;
};

/// Last in, first out.
template <class T>
class lifo_store {
 public:
  void push(T&& item) { items_.push_back(std::move(item)); }
  T pop() { return items_.pop_back(); }
  void put_back(T&& item) { items_.push_back(std::move(item)); }
  [[nodiscard]] std::size_t size() const { return items_.size(); }
  [[nodiscard]] const T& at(std::size_t index) const { return items_.at(size() - 1 - index); }
  [[nodiscard]] std::size_t victim(std::size_t) const { return size() - 1; }
  [[nodiscard]] bool stays(std::size_t, const T&) const { return false; }
  T remove(std::size_t) { return items_.pop_front(); }

 private:
  ring<T> items_;
};

/// Smallest first; what compares equal comes out in the order it came in. A binary heap, in which
/// each item keeps the number it was given when it came.
template <class T, class Compare>
class priority_store {
 public:
  explicit priority_store(Compare compare = Compare()) : later_{std::move(compare)} {}
  void push(T&& item) { insert(std::move(item), next_number_++); }
  T pop() {
    std::pop_heap(heap_.begin(), heap_.end(), later_);
    T item = std::move(heap_.back().item);
    heap_.pop_back();
    return item;
  }
  void put_back(T&& item) { insert(std::move(item), --first_number_); }
  [[nodiscard]] std::size_t size() const { return heap_.size(); }
  /// Only 0 has a meaning; the others come in the order of the heap.
  [[nodiscard]] const T& at(std::size_t index) const { return heap_[index].item; }
  /// The least urgent one; of those who are, the oldest.
  [[nodiscard]] std::size_t victim(std::size_t promised) const {
    std::vector<std::size_t> order(heap_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(),
              [this](std::size_t a, std::size_t b) { return later_(heap_[b], heap_[a]); });
    std::size_t least = order.size() - 1;
    const T& rank = heap_[order[least]].item;
    while (least > promised && !later_.compare(heap_[order[least - 1]].item, rank)) --least;
    return order[least];
  }
  [[nodiscard]] bool stays(std::size_t index, const T& incoming) const {
    return later_.compare(heap_[index].item, incoming);
  }
  T remove(std::size_t index) {
    T item = std::move(heap_[index].item);
    if (index + 1 != heap_.size()) heap_[index] = std::move(heap_.back());
    heap_.pop_back();
    std::make_heap(heap_.begin(), heap_.end(), later_);
    return item;
  }

 private:
  struct entry {
    T item;
    std::int64_t number;
  };
  /// The order of std's heaps, whose top is what compares greatest.
  struct comes_later {
    Compare compare;
    bool operator()(const entry& a, const entry& b) const {
      if (compare(b.item, a.item)) return true;
      return a.number > b.number && !compare(a.item, b.item);
    }
  };
  void insert(T&& item, std::int64_t number) {
    heap_.push_back(entry{std::move(item), number});
    std::push_heap(heap_.begin(), heap_.end(), later_);
  }

  comes_later later_;
  std::vector<entry> heap_;
  std::int64_t next_number_ = 0;
  std::int64_t first_number_ = 0;
};

}  // namespace brigade::detail
