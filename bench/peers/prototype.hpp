// The bare loop: about what the machine allows, and what brigade's figures are divided by.
//
// The smallest coroutine kernel whose queue hands over by grants and settles by tickets: no task
// record, no cancellation, no names, no statistics, no reactor, and an item is lost when a frame
// is destroyed.
#pragma once
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <new>
#include <utility>
#include <vector>

namespace prototype {

// --- frames: free lists by size, cut from chunks that are never given back ---
struct frame_pool {
  struct free_frame {
    free_frame* next;
  };
  free_frame* free[64] = {};
  char* at = nullptr;
  char* end = nullptr;

  void* get(std::size_t bytes) {
    const std::size_t index = (bytes + 31) / 32;
    if (index >= 64) return std::malloc(bytes);
    if (free_frame* frame = free[index]) {
      free[index] = frame->next;
      return frame;
    }
    const std::size_t room = index * 32;
    if (static_cast<std::size_t>(end - at) < room) {
      at = static_cast<char*>(std::malloc(1 << 16));
      end = at + (1 << 16);
    }
    return std::exchange(at, at + room);
  }
  void put(void* frame, std::size_t bytes) {
    const std::size_t index = (bytes + 31) / 32;
    if (index >= 64) return std::free(frame);
    auto* node = static_cast<free_frame*>(frame);
    node->next = free[index];
    free[index] = node;
  }
};
inline constinit thread_local frame_pool frames;

struct pooled {
  static void* operator new(std::size_t bytes) { return frames.get(bytes); }
  static void operator delete(void* frame, std::size_t bytes) { frames.put(frame, bytes); }
};

// --- waiters and the ready ring ---
struct link {
  link* prev = nullptr;
  link* next = nullptr;
};
struct waiter : link {
  std::coroutine_handle<> frame;
  bool cancelled = false;
};
struct waiter_list {
  link head{&head, &head};
  [[nodiscard]] bool empty() const { return head.next == &head; }
  void push(waiter* entry) {
    entry->prev = head.prev;
    entry->next = &head;
    head.prev->next = entry;
    head.prev = entry;
  }
  waiter* pop() {
    auto* entry = static_cast<waiter*>(head.next);
    unlink(entry);
    return entry;
  }
  static void unlink(waiter* entry) {
    entry->prev->next = entry->next;
    entry->next->prev = entry->prev;
  }
};

class ready_ring {
 public:
  void push(waiter* entry) { push(entry->frame); }
  void push(std::coroutine_handle<> frame) {
    if (tail_ - head_ > mask_) [[unlikely]]
      grow();
    ring_[tail_++ & mask_] = frame.address();
  }
  void run() {
    while (head_ != tail_) {
      std::coroutine_handle<>::from_address(ring_[head_++ & mask_]).resume();
    }
  }

 private:
  [[gnu::noinline]] void grow() {
    std::vector<void*> wider((mask_ + 1) * 2);
    std::size_t count = 0;
    for (std::size_t i = head_; i != tail_; ++i) wider[count++] = ring_[i & mask_];
    ring_.swap(wider);
    head_ = 0;
    tail_ = count;
    mask_ = ring_.size() - 1;
  }
  std::vector<void*> ring_ = std::vector<void*>(256);
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
  std::size_t mask_ = 255;
};
inline constinit ready_ring* ready = nullptr;

struct yield : waiter {
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) noexcept {
    frame = self;
    ready->push(this);
  }
  void await_resume() const noexcept {}
};

struct was_cancelled {};

/// Counts tasks; one waits for their end.
struct group {
  std::size_t alive = 0;
  std::coroutine_handle<> waiting;
  void done() {
    if (--alive == 0 && waiting) ready->push(std::exchange(waiting, nullptr));
  }
  struct all_ended {
    group& of;
    [[nodiscard]] bool await_ready() const { return of.alive == 0; }
    void await_suspend(std::coroutine_handle<> self) { of.waiting = self; }
    void await_resume() {}
  };
  all_ended join() { return {*this}; }
};

// --- tasks: detached and counted, or joined by whoever holds the handle ---
struct detached {
  struct promise_type : pooled {
    group* counted_by = nullptr;
    waiter start;
    std::exception_ptr error;
    detached get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept {
      if (counted_by != nullptr) counted_by->done();
      return {};
    }
    void return_void() {}
    void unhandled_exception() { error = std::current_exception(); }
  };
  std::coroutine_handle<promise_type> frame;
};

inline void spawn(detached work, group* counted_by = nullptr) {
  if (counted_by != nullptr) ++counted_by->alive;
  work.frame.promise().counted_by = counted_by;
  work.frame.promise().start.frame = work.frame;
  ready->push(&work.frame.promise().start);
}

struct joined {
  struct promise_type : pooled {
    waiter start;
    waiter joiner;
    bool done = false;
    std::uint64_t value = 0;
    joined get_return_object() {
      auto frame = std::coroutine_handle<promise_type>::from_promise(*this);
      start.frame = frame;
      ready->push(&start);
      return joined(frame);
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept {
      done = true;
      if (joiner.frame) ready->push(&joiner);
      return {};
    }
    void return_value(std::uint64_t result) { value = result; }
    void unhandled_exception() { std::terminate(); }
  };
  explicit joined(std::coroutine_handle<promise_type> own) : frame(own) {}
  joined(joined&& other) noexcept : frame(std::exchange(other.frame, {})) {}
  ~joined() {
    if (frame) frame.destroy();
  }
  [[nodiscard]] bool await_ready() const { return frame.promise().done; }
  void await_suspend(std::coroutine_handle<> self) { frame.promise().joiner.frame = self; }
  std::uint64_t await_resume() { return frame.promise().value; }
  std::coroutine_handle<promise_type> frame;
};

// --- the queue: a granted getter's item stays in the ring, a granted putter has a slot ---
template <class T>
class queue {
 public:
  enum class wait : unsigned char { none, waiting, granted, closed };

  explicit queue(std::size_t capacity) : capacity_(capacity) {
    std::size_t room = 1;
    while (room < capacity) room *= 2;
    ring_.resize(room);
    mask_ = room - 1;
  }
  struct ticket {
    ticket(queue* of, T taken, bool there) : from(of), item(std::move(taken)), given(there) {}
    ticket(ticket&& other) noexcept
        : from(std::exchange(other.from, nullptr)),
          item(std::move(other.item)),
          given(other.given) {}
    ~ticket() {
      if (from != nullptr && given) from->settle();
    }
    explicit operator bool() const { return given; }
    queue* from;
    T item;
    bool given;
  };
  /// Cancelled, it throws.
  struct taking : waiter {
    explicit taking(queue& of) : from(of) {}
    bool await_ready() {
      if (from.size() > from.granted_ && from.getters_.empty()) return true;
      if (!from.closed_ || from.size() > from.granted_) return false;
      state = wait::closed;
      return true;
    }
    void await_suspend(std::coroutine_handle<> self) {
      frame = self;
      state = wait::waiting;
      from.getters_.push(this);
    }
    ticket await_resume() {
      if (state == wait::granted) {
        --from.granted_;
      } else if (state != wait::none) [[unlikely]] {
        if (cancelled) throw was_cancelled{};
        return ticket(nullptr, T{}, false);
      }
      return ticket(&from, from.pop(), true);
    }
    queue& from;
    wait state = wait::none;
  };
  /// A cancelled one gives an empty ticket, as a closed queue does.
  struct taking_or_end : taking {
    using taking::taking;
    ticket await_resume() {
      this->cancelled = false;
      return taking::await_resume();
    }
  };
  struct putting : waiter {
    putting(queue& into, T given) : to(into), item(std::move(given)) {}
    bool await_ready() {
      ++to.unfinished_;
      return to.size() + to.reserved_ < to.capacity_ && to.putters_.empty();
    }
    void await_suspend(std::coroutine_handle<> self) {
      frame = self;
      state = wait::waiting;
      to.putters_.push(this);
    }
    void await_resume() {
      if (state == wait::granted) {
        --to.reserved_;
      } else if (state != wait::none) [[unlikely]] {
        throw was_cancelled{};
      }
      to.push(std::move(item));
    }
    queue& to;
    T item;
    wait state = wait::none;
  };
  struct joining {
    queue& of;
    [[nodiscard]] bool await_ready() const { return of.unfinished_ == 0; }
    void await_suspend(std::coroutine_handle<> self) { of.joiner_ = self; }
    void await_resume() {}
  };

  taking take() { return taking(*this); }
  taking_or_end take_or_end() { return taking_or_end(*this); }
  putting put(T item) { return putting(*this, std::move(item)); }
  joining join() { return {*this}; }
  [[nodiscard]] std::size_t size() const { return tail_ - head_; }
  T pop() {
    T item = std::move(ring_[head_++ & mask_]);
    if (!putters_.empty()) {
      auto* next = static_cast<putting*>(putters_.pop());
      next->state = wait::granted;
      ++reserved_;
      ready->push(next);
    }
    return item;
  }
  void push(T&& item) {
    ring_[tail_++ & mask_] = std::move(item);
    if (getters_.empty()) return;
    auto* next = static_cast<taking*>(getters_.pop());
    next->state = wait::granted;
    ++granted_;
    ready->push(next);
  }
  /// Takes what is there without waiting, and settles it.
  template <class F>
  void drain(F use) {
    while (size() > granted_) {
      use(pop());
      settle();
    }
  }
  void settle() {
    if (--unfinished_ == 0 && joiner_) ready->push(std::exchange(joiner_, nullptr));
  }
  void close() { end_getters(false); }
  void cancel_getters() { end_getters(true); }

 private:
  void end_getters(bool cancelled) {
    closed_ = true;
    while (!getters_.empty()) {
      auto* next = static_cast<taking*>(getters_.pop());
      next->state = wait::closed;
      next->cancelled = cancelled;
      ready->push(next);
    }
  }
  std::vector<T> ring_;
  std::size_t capacity_;
  std::size_t mask_;
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
  std::size_t granted_ = 0;
  std::size_t reserved_ = 0;
  std::size_t unfinished_ = 0;
  bool closed_ = false;
  waiter_list getters_;
  waiter_list putters_;
  std::coroutine_handle<> joiner_;
};

// --- timers: a 4-ary heap with back-indices ---
struct timer : waiter {
  double when = 0;
  std::size_t index = 0;
};
class timer_heap {
 public:
  void add(timer* entry) {
    heap_.push_back({entry->when, entry});
    up(heap_.size() - 1);
  }
  void remove(timer* entry) {
    const std::size_t index = entry->index;
    const node last = heap_.back();
    heap_.pop_back();
    if (index == heap_.size()) return;
    place(index, last);
    down(index);
    up(last.owner->index);
  }
  void fire(double now) {
    while (!heap_.empty() && heap_.front().when <= now) {
      timer* due = heap_.front().owner;
      remove(due);
      ready->push(due);
    }
  }
  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] double next() const { return heap_.front().when; }

 private:
  struct node {
    double when;
    timer* owner;
  };
  void place(std::size_t index, node value) {
    heap_[index] = value;
    value.owner->index = index;
  }
  void up(std::size_t index) {
    const node value = heap_[index];
    while (index != 0) {
      const std::size_t parent = (index - 1) / 4;
      if (heap_[parent].when <= value.when) break;
      place(index, heap_[parent]);
      index = parent;
    }
    place(index, value);
  }
  void down(std::size_t index) {
    const node value = heap_[index];
    for (;;) {
      const std::size_t first = index * 4 + 1;
      if (first >= heap_.size()) break;
      std::size_t least = first;
      for (std::size_t child = first + 1; child < first + 4 && child < heap_.size(); ++child) {
        if (heap_[child].when < heap_[least].when) least = child;
      }
      if (heap_[least].when >= value.when) break;
      place(index, heap_[least]);
      index = least;
    }
    place(index, value);
  }
  std::vector<node> heap_;
};

}  // namespace prototype
