/// What a future and its promise share, whatever the type of the value.
#pragma once
#include <brigade/async/detail/completion.hpp>
#include <brigade/async/detail/frame_pool.hpp>
#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/detail/waiter.hpp>

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <source_location>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brigade {
class loop;
}

namespace brigade::detail {

class future_state;

/// How the promise of another thread finds its future: only on the loop's thread.
struct thread_link {
  future_state* target = nullptr;
  std::stop_source stop;
};

using callback = std::shared_ptr<const std::function<void()>>;

class future_state : public link, public completion, public pooled {
 public:
  future_state(loop& owner, std::string name);
  ~future_state() override;

  bool cancel(std::string_view reason) final;
  [[nodiscard]] std::string cancel_reason() const final { return cancel_reason_; }
  [[nodiscard]] std::string describe() const final { return "future '" + name_ + "'"; }
  [[nodiscard]] const std::string& name() const { return name_; }
  /// Throw `invalid_state`.
  void require_pending() const;
  void require_done() const;
  /// Ends it by `error`; by a `cancelled`, as `cancel` does.
  void fail(std::exception_ptr error);
  /// Ends it, unless it is done, by `broken_promise`.
  void promise_dropped() noexcept;
  [[nodiscard]] bool shared() const { return references_ > 1; }

  void add_callback(callback work);
  std::size_t remove_callback(const callback& work);
  [[nodiscard]] std::size_t callback_count() const { return callbacks_.size(); }
  [[nodiscard]] std::size_t waiting() const;

  /// From now on its value comes from another thread.
  std::shared_ptr<thread_link> lend_to_thread();
  [[nodiscard]] bool from_thread() const { return thread_ != nullptr; }
  [[nodiscard]] bool belongs_to(const loop& here) const final { return loop_ == &here; }
  /// Says what nobody has seen; from here on there is no loop to call back on.
  void loop_ends() noexcept;

 protected:
  /// With its value, or a null error.
  void end(std::exception_ptr error) noexcept;

 private:
  friend class future_waiter;
  void report_unseen_error() noexcept;
  void give_back_from_thread() noexcept;

  loop* loop_;
  std::string name_;
  std::string cancel_reason_;
  std::vector<callback> callbacks_;
  std::shared_ptr<thread_link> thread_;
};

class future_waiter final : public waiter {
 public:
  future_waiter(future_state& target, on_waiter_cancel mode)
      : waiter(std::source_location{}), target_(&target), mode_(mode) {
    target.retain();
  }
  ~future_waiter() {
    leave();
    target_->release();
  }
  [[nodiscard]] bool await_ready() const noexcept;
  void await_suspend(std::coroutine_handle<> handle, std::source_location where) noexcept;
  /// Throws the future's error, or `cancelled` when it, or this wait, was cancelled.
  void await_resume();
  bool cancel() noexcept override;
  [[nodiscard]] std::string describe() const override { return target_->describe(); }
  [[nodiscard]] bool outside() const override { return target_->from_thread(); }

 private:
  future_state* target_;
  on_waiter_cancel mode_;
};

}  // namespace brigade::detail
