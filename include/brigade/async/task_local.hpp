/// task_local<T>: a value that follows a task and those it spawns, like asyncio's context
/// variables.
///
///   task_local<std::string> request_id;          // a global, or longer-lived than its tasks
///   request_id.set("r-17");                      // for this task, and tasks it spawns from now on
///   { auto inner = request_id.with("r-18"); ... }  // until the end of the block
///
/// A spawned task starts with its parent's values; what it sets is its own. Outside any task there
/// is only the default. A get costs a walk over the values the task has set or inherited.
///
/// Thread safety: the variable may be shared by threads; each value belongs to one task.
/// Lifetime: the variable outlives the tasks that use it.
#pragma once
#include <brigade/async/detail/task_context.hpp>
#include <brigade/async/detail/task_state.hpp>

#include <optional>
#include <utility>

namespace brigade {

namespace detail {
/// Of the running task; null outside of any.
[[nodiscard]] const task_context* running_context();
[[nodiscard]] task_context& context_to_change();
}  // namespace detail

template <class T>
class task_local {
  struct entry final : detail::context_entry {
    entry(const void* key, T initial) : context_entry(key), value(std::move(initial)) {}
    T value;
  };

 public:
  task_local() = default;
  explicit task_local(T otherwise) : default_(std::move(otherwise)) {}
  task_local(const task_local&) = delete;
  task_local& operator=(const task_local&) = delete;

  /// The value set last in this task or inherited, else the default; null when there is neither.
  [[nodiscard]] const T* get() const {
    const detail::task_context* context = detail::running_context();
    if (context != nullptr) {
      if (const auto* found = static_cast<const entry*>(context->find(this))) return &found->value;
    }
    return default_ ? &*default_ : nullptr;
  }
  /// Asserted: inside a task.
  void set(T value) { detail::context_to_change().add(new entry(this, std::move(value))); }

  /// Puts the values of the task back as they were.
  class [[nodiscard]] restorer {
   public:
    restorer(const restorer&) = delete;
    restorer& operator=(const restorer&) = delete;
    ~restorer() { context_ = std::move(before_); }

   private:
    friend class task_local;
    restorer(detail::task_context& context, entry* value) : context_(context), before_(context) {
      context_.add(value);
    }
    detail::task_context& context_;
    detail::task_context before_;
  };
  /// Sets `value` until the result goes out of scope; with it go later `set`s of any variable.
  restorer with(T value) {
    return restorer(detail::context_to_change(), new entry(this, std::move(value)));
  }

 private:
  std::optional<T> default_;
};

}  // namespace brigade
