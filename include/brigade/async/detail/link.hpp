/// Intrusive rings: constant time to join and to leave from anywhere, no allocation.
#pragma once
#include <cstddef>

namespace brigade::detail {

/// A node of an intrusive ring. Alone: `next` is null, and `prev` means nothing.
struct link {
  struct unset {};

  link() : next(nullptr) {}  // NOLINT(cppcoreguidelines-pro-type-member-init)
  /// For what is created far more often than linked: `mark_alone` comes before `linked`.
  explicit link(unset) {}  // NOLINT(cppcoreguidelines-pro-type-member-init)

  [[nodiscard]] bool linked() const { return next != nullptr; }
  void mark_alone() { next = nullptr; }
  void unlink() {
    prev->next = next;
    next->prev = prev;
    next = nullptr;
  }

  link* prev;
  link* next;
};

/// First in, first out.
class link_list {
 public:
  link_list() { head_.prev = head_.next = &head_; }
  link_list(const link_list&) = delete;
  link_list& operator=(const link_list&) = delete;

  [[nodiscard]] bool empty() const { return head_.next == &head_; }
  [[nodiscard]] link* front() const { return head_.next; }
  [[nodiscard]] const link* end() const { return &head_; }
  /// Counts them.
  [[nodiscard]] std::size_t size() const {
    std::size_t count = 0;
    for (const link* node = front(); node != end(); node = node->next) ++count;
    return count;
  }
  void push_back(link* node) {
    node->prev = head_.prev;
    node->next = &head_;
    head_.prev->next = node;
    head_.prev = node;
  }
  /// Makes all of `other`, in their order, the end of this.
  void append(link_list& other) {
    if (other.empty()) return;
    other.head_.next->prev = head_.prev;
    head_.prev->next = other.head_.next;
    other.head_.prev->next = &head_;
    head_.prev = other.head_.prev;
    other.head_.prev = other.head_.next = &other.head_;
  }

 private:
  link head_{link::unset{}};
};

}  // namespace brigade::detail
