#include <brigade/async/assert.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/threads.hpp>

#include <utility>

namespace brigade::detail {

loop_crew::loop_crew(std::size_t loops)
    : circle_(std::make_shared<loop_circle>(loops)), members_(loops) {
  BRIGADE_ASSERT(loops > 0, "run_threads of no threads");
}

void loop_crew::run(const std::function<void(std::size_t)>& work, const std::stop_token& stop) {
  if (loop::current_if_any() != nullptr) {
    throw invalid_state("run_threads: a loop runs on this thread already; call it to_thread");
  }
  const std::stop_callback stopped(stop, [this] { cancel("stop requested"); });
  std::vector<std::jthread> threads;
  std::size_t index = 1;
  try {
    for (; index < size(); ++index) threads.emplace_back(work, index);
  } catch (...) {
    // Those that run may wait for those that do not.
    failed(index, std::current_exception());
    for (; index < size(); ++index) circle_->ended(index);
    circle_->ended(0);
    return;
  }
  work(0);
}

void loop_crew::enter(std::size_t index, loop& own) {
  loop_junction::of(own).join(circle_, index);
  const std::lock_guard lock(mutex_);
  members_[index].box = own.mailbox();
}

void loop_crew::begin(std::size_t index, cancel_scope& scope) {
  const std::lock_guard lock(mutex_);
  members_[index].scope = &scope;
  if (!cancel_reason_.empty()) scope.cancel(cancel_reason_);
}

void loop_crew::end(std::size_t index) {
  const std::lock_guard lock(mutex_);
  members_[index].scope = nullptr;
}

void loop_crew::failed(std::size_t index, std::exception_ptr error) {
  const std::string loop_name = "loop " + std::to_string(index);
  try {
    std::rethrow_exception(error);
  } catch (const deadlock& found) {
    const std::lock_guard lock(mutex_);
    deadlocks_.push_back(loop_name + ": " + found.what());
  } catch (const cancelled&) {
    // By the others, or by the stop; an error says more.
    const std::lock_guard lock(mutex_);
    if (!error_ && cancel_reason_.empty()) error_ = error;
  } catch (...) {
    const std::lock_guard lock(mutex_);
    if (!error_ || cancel_reason_.empty()) error_ = error;
  }
  cancel(loop_name + " failed: " + error_text(error));
}

void loop_crew::cancel(std::string reason) {
  const std::lock_guard lock(mutex_);
  if (!cancel_reason_.empty()) return;
  cancel_reason_ = std::move(reason);
  for (std::size_t index = 0; index < members_.size(); ++index) cancel_member(index);
}

void loop_crew::cancel_member(std::size_t index) {
  member& one = members_[index];
  if (one.box == nullptr) return;  // `begin` will see it
  one.box->post([this, index] {
    // Who is about to find a deadlock names its tasks where they wait.
    if (circle_->doomed(index)) return;
    cancel_scope* const scope = members_[index].scope;
    if (scope != nullptr) scope->cancel(cancel_reason_);
  });
}

void loop_crew::finish() {
  if (error_) std::rethrow_exception(error_);
  std::string text;
  for (const std::string& one : deadlocks_) text += one;
  if (!text.empty()) throw deadlock(text);
  if (!cancel_reason_.empty()) throw cancelled(cancel_reason_);
}

}  // namespace brigade::detail
