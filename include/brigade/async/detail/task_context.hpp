/// The task-local values of a task: a list that its children share and nobody changes in place.
#pragma once
#include <brigade/async/detail/frame_pool.hpp>

#include <cstdint>
#include <utility>

namespace brigade::detail {

/// One value; of the loop's thread, so the count is a plain number.
class context_entry : public pooled {
 public:
  explicit context_entry(const void* key) : key_(key) {}
  context_entry(const context_entry&) = delete;
  context_entry& operator=(const context_entry&) = delete;
  virtual ~context_entry() = default;

 private:
  friend class task_context;
  const void* key_;
  context_entry* outer_ = nullptr;
  std::uint32_t references_ = 1;
};

class task_context {
 public:
  task_context() = default;
  task_context(const task_context& other) noexcept : top_(other.top_) {
    if (top_ != nullptr) ++top_->references_;
  }
  task_context(task_context&& other) noexcept : top_(std::exchange(other.top_, nullptr)) {}
  task_context& operator=(task_context other) noexcept {
    std::swap(top_, other.top_);
    return *this;
  }
  ~task_context();

  [[nodiscard]] bool empty() const { return top_ == nullptr; }
  /// The newest entry of `key`, or null.
  [[nodiscard]] context_entry* find(const void* key) const;
  /// Takes `entry` over; it hides an older one of the same key.
  void add(context_entry* entry) noexcept { entry->outer_ = std::exchange(top_, entry); }

 private:
  context_entry* top_ = nullptr;
};

}  // namespace brigade::detail
