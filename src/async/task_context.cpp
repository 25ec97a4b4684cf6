#include <brigade/async/assert.hpp>
#include <brigade/async/detail/task_context.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/task_local.hpp>

namespace brigade::detail {

task_context::~task_context() {
  // A loop, for the chain may be as long as somebody was careless.
  while (top_ != nullptr && --top_->references_ == 0) {
    const context_entry* gone = std::exchange(top_, top_->outer_);
    delete gone;
  }
}

context_entry* task_context::find(const void* key) const {
  context_entry* entry = top_;
  while (entry != nullptr && entry->key_ != key) entry = entry->outer_;
  return entry;
}

const task_context* running_context() {
  const loop* const here = loop::current_if_any();
  if (here == nullptr || here->running() == nullptr) return nullptr;
  return here->running()->context_if_any();
}

task_context& context_to_change() {
  task_state* const running = loop::current().running();
  BRIGADE_ASSERT(running != nullptr, "a task-local value is set outside any task");
  return running->context();
}

}  // namespace brigade::detail
