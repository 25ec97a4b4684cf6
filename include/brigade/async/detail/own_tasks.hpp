/// Tasks that a wait started itself and does not leave behind.
#pragma once
#include <brigade/async/cancel.hpp>
#include <brigade/async/detail/completion.hpp>
#include <brigade/async/detail/spawned.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/task.hpp>

#include <utility>

namespace brigade::detail {

/// Where they live: in the scope of who waits, but apart from it.
struct own_scope final : cancel_scope {
  own_scope() : cancel_scope(apart_tag{}) {}
};

/// Starts `body` in `scope`; null: in the loop's.
template <class T>
task_handle<T> start_in(cancel_scope* scope, task<T> body) {
  auto* record = new spawned<T>(current_loop(), scope, {});
  task_handle<T> handle(*record);
  record->release();
  record->run(std::move(body), false);
  return handle;
}

/// Destroys a task where it waits. For who goes, with a frame say, before the tasks it started have
/// ended: nothing can be awaited then, and what they refer to may go, too.
void end_in_place(completion& own_task) noexcept;

}  // namespace brigade::detail
