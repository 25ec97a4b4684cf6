/// run_threads(n, f): one program on several processors: a loop a thread, each with a task of its
/// own.
///
/// `f(index)` is called on each of the threads and gives the main task of its loop. Nothing else
/// joins the loops but what they share: `shared_queue`, and `post`. The first error cancels the
/// other main tasks; when all loops have ended, it is thrown. Results come in the order of the
/// index. When all loops wait for each other, and nobody else can act, `deadlock` is thrown, naming
/// the tasks of all of them.
///
/// Thread safety: `f` is called by several threads at once. Lifetime: returns when all have ended.
#pragma once
#include <brigade/async/cancel.hpp>
#include <brigade/async/detail/junction.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/task.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace brigade {

namespace detail {

/// The loops of one `run_threads`, and how they ended.
class loop_crew {
 public:
  explicit loop_crew(std::size_t loops);
  [[nodiscard]] std::size_t size() const { return members_.size(); }
  /// Runs `work(index)` on a thread for each index, the first on this one.
  void run(const std::function<void(std::size_t)>& work, const std::stop_token& stop);
  /// By its thread: the loop joins the circle; `scope` is what a cancellation reaches.
  void enter(std::size_t index, loop& own);
  void begin(std::size_t index, cancel_scope& scope);
  void end(std::size_t index);
  void failed(std::size_t index, std::exception_ptr error);
  void cancel(std::string reason);
  /// Throws the first error; deadlocks as one.
  void finish();

 private:
  struct member {
    std::shared_ptr<mailbox> box;
    cancel_scope* scope = nullptr;  ///< its loop's thread only
  };
  void cancel_member(std::size_t index);
  std::shared_ptr<loop_circle> circle_;
  std::mutex mutex_;
  std::vector<member> members_;
  std::string cancel_reason_;  ///< empty: not cancelled
  std::exception_ptr error_;
  std::vector<std::string> deadlocks_;
};

/// The main task of one loop, within reach of the others' errors.
template <class T, class F>
task<T> run_member(loop_crew& all, std::size_t index, F& function) {
  cancel_scope scope;
  all.begin(index, scope);
  struct ended {
    loop_crew& all;
    std::size_t index;
    ~ended() { all.end(index); }
  };
  const ended at_end{all, index};
  co_return co_await function(index);
}

}  // namespace detail

/// Completes:  when every loop has ended; with a vector of results, or nothing for `task<>`.
/// Cancelled:  by `stop`: the main tasks are cancelled, and `cancelled` is thrown unless they end
///             otherwise.
/// Throws:     the first error; `deadlock`; `invalid_state` on a thread that runs a loop.
template <class F>
auto run_threads(std::size_t threads, F function, const std::stop_token& stop = {}) {
  using result = typename std::invoke_result_t<F&, std::size_t>::value_type;
  using kept = std::conditional_t<std::is_void_v<result>, char, result>;
  detail::loop_crew all(threads);
  std::vector<std::optional<kept>> results(threads);
  auto work = [&](std::size_t index) {
    try {
      loop own;
      all.enter(index, own);
      auto main = detail::run_member<result>(all, index, function);
      if constexpr (std::is_void_v<result>) {
        own.run(std::move(main));
      } else {
        results[index].emplace(own.run(std::move(main)));
      }
    } catch (...) {
      all.failed(index, std::current_exception());
    }
  };
  all.run(work, stop);
  all.finish();
  if constexpr (!std::is_void_v<result>) {
    std::vector<result> values;
    for (std::optional<kept>& one : results) values.push_back(std::move(*one));
    return values;
  }
}

}  // namespace brigade
